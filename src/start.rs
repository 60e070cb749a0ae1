//! The first and the last lines of the process.
//!
//! The C library calls `main` here directly, without Rust's runtime in between. The runtime would
//! ignore SIGPIPE and open /dev/null over closed descriptors, which the command must find
//! unchanged. It would also read /proc/self/maps for a stack guard, 10% of the time of a short
//! start.
#![allow(unsafe_code)] // The entry point is a C function.

use std::{
    ffi::{CStr, OsString, c_char, c_int},
    os::unix::ffi::OsStringExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::exit,
};

use afterall::{exit::Exit, report::raw_line, signals};

/// The entry point.
///
/// # Safety
/// The C library calls it, with `argc` pointers to strings that live as long as the process.
#[unsafe(no_mangle)]
// Only here: dropping the runtime would wait for a lookup that hangs.
#[allow(clippy::exit)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    signals::at_start();
    std::panic::set_hook(Box::new(|panic| {
        // The message of a panic may hold a secret; its place does not.
        let place = panic
            .location()
            .map(|at| format!(" at {}:{}", at.file(), at.line()))
            .unwrap_or_default();
        raw_line(&format!("a defect of afterall{place}: please report it"));
    }));
    let count = usize::try_from(argc).unwrap_or_default();
    // SAFETY: promised by the caller.
    let args = (0..count)
        .map(|n| unsafe { OsString::from_vec(CStr::from_ptr(*argv.add(n)).to_bytes().to_vec()) });
    // A panic must not unwind into C.
    let ended = catch_unwind(AssertUnwindSafe(|| super::end_of(args.collect())));
    exit(ended.unwrap_or(Exit::Defect).code())
}
