//! Checks before the wait that the kernel can execute a file.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, OpenOptionsExt},
    },
    path::Path,
    ptr,
};

use super::candidates;
use crate::{
    os::describe,
    text::{MAX_FOREIGN, one_line},
};

/// The reason why execvp(3) cannot execute a file.
#[derive(Debug)]
pub(super) enum Unfit {
    /// No file has this path. execvp goes on to the next directory of PATH.
    Absent,
    /// The file may not be executed. execvp records this and goes on.
    Denied(String),
    /// The file's interpreter or loader does not exist. execvp goes on as if the file did not.
    NoInterpreter(String),
    /// No kernel of this machine knows the format. execvp would let /bin/sh read the program.
    Foreign(String),
}

/// The bytes of a script's first line that the kernel reads (BINPRM_BUF_SIZE in linux/binfmts.h).
const FIRST_LINE: usize = 256;

/// The most scripts that the kernel follows as interpreters (exec_binprm in fs/exec.c).
const MAX_INTERPRETERS: usize = 5;

/// Checks that there is a file at `path` that may be executed. Does not open it.
pub(super) fn may_execute(path: &Path) -> Result<(), Unfit> {
    check_permission(path)?;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(directory()),
        Ok(_) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

/// Checks the permission to execute `path`. The owner may also "execute" a directory.
fn check_permission(path: &Path) -> Result<(), Unfit> {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(|error| refused(&error.into()))
}

fn refused(error: &io::Error) -> Unfit {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unfit::Denied(describe(error)),
        _ => Unfit::Absent,
    }
}

fn directory() -> Unfit {
    Unfit::Denied("is a directory".to_owned())
}

/// Checks what execve(2) would find at `path`. `search` is PATH.
pub(super) fn check(path: &Path, search: &OsStr) -> Result<(), Unfit> {
    check_nested(path, search, 0)
}

fn check_nested(path: &Path, search: &OsStr, depth: usize) -> Result<(), Unfit> {
    check_permission(path)?;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut start = [0; 1024];
    let (file, length) = match file.and_then(|file| {
        let length = file.read_at(&mut start, 0)?;
        Ok((file, length))
    }) {
        Ok(read) => read,
        // A directory opens like a file, and cannot be read. So it costs no stat(2).
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(directory()),
        // Programs with execute permission and without read permission are rare. The kernel checks
        // them.
        Err(_) => return may_execute(path),
    };
    let start = &start[..length];
    if let Some(line) = start.strip_prefix(b"#!") {
        check_script(line, search, depth)
    } else if start.starts_with(b"\x7fELF") {
        check_elf(path, &file, start)
    } else if start.split(|&byte| byte == b'\n').next().is_some_and(|line| line.contains(&0)) {
        // A text file is a script without `#!`, for which execvp starts /bin/sh.
        check_format(path, foreign_system(start))
    } else {
        Ok(())
    }
}

/// Checks the interpreter that a script's first line names, as the kernel reads the line.
fn check_script(line: &[u8], search: &OsStr, depth: usize) -> Result<(), Unfit> {
    let line = &line[..line.len().min(FIRST_LINE - 2)];
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let mut words = line.split(is_blank).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else { return Ok(()) };
    if depth < MAX_INTERPRETERS {
        let path = Path::new(OsStr::from_bytes(interpreter));
        check_nested(path, search, depth + 1)
            .map_err(|unfit| interpreter_unfit(interpreter, unfit))?;
    }
    // `env NAME` is the only interpreter that names another one.
    let is_env = Path::new(OsStr::from_bytes(interpreter)).file_name() == Some(OsStr::new("env"));
    match words.next() {
        Some(name) if is_env && !name.starts_with(b"-") && !name.contains(&b'=') => {
            let name = OsStr::from_bytes(name);
            let is_there = candidates(name, Some(search)).iter().any(|path| path.exists());
            if is_there { Ok(()) } else { Err(interpreter_unfit(name.as_bytes(), Unfit::Absent)) }
        }
        _ => Ok(()),
    }
}

/// Returns the error for a script from the error for its interpreter.
fn interpreter_unfit(interpreter: &[u8], unfit: Unfit) -> Unfit {
    let name = String::from_utf8_lossy(interpreter);
    let shown = one_line(&name.escape_debug().to_string(), MAX_FOREIGN);
    match unfit {
        Unfit::Absent if name.ends_with('\r') => Unfit::NoInterpreter(format!(
            "its interpreter {shown} does not exist: the first line must end in LF, not in CR LF"
        )),
        Unfit::Absent => Unfit::NoInterpreter(format!("its interpreter {shown} does not exist")),
        Unfit::Denied(why) => Unfit::Denied(format!("its interpreter {shown}: {why}")),
        Unfit::NoInterpreter(why) => {
            Unfit::NoInterpreter(format!("its interpreter {shown}: {why}"))
        }
        Unfit::Foreign(why) => Unfit::Foreign(format!("its interpreter {shown}: {why}")),
    }
}

/// Checks an ELF file's machine and its loader (elf(5)).
fn check_elf(path: &Path, file: &File, start: &[u8]) -> Result<(), Unfit> {
    let Some(elf) = Elf::read(start) else {
        return check_format(path, "the file is cut short".to_owned());
    };
    if elf.machine != OWN_MACHINE || elf.is_64_bit != cfg!(target_pointer_width = "64") {
        let why = format!(
            "it is built for {}, and this machine is {}",
            machine_name(elf.machine),
            machine_name(OWN_MACHINE)
        );
        return check_format(path, why);
    }
    match elf.loader(file, start) {
        Some(loader) if !Path::new(OsStr::from_bytes(&loader)).exists() => {
            let loader = one_line(&String::from_utf8_lossy(&loader), MAX_FOREIGN);
            Err(Unfit::NoInterpreter(format!(
                "its loader {loader} does not exist: is it built for another C library (glibc, \
                musl)?"
            )))
        }
        _ => Ok(()),
    }
}

/// The fields of an ELF header that matter here.
struct Elf {
    machine: u16,
    is_64_bit: bool,
    is_little_endian: bool,
    /// The offset of the program headers, the length of each, and their number.
    headers: (u64, u64, u64),
}

impl Elf {
    fn read(start: &[u8]) -> Option<Self> {
        let is_64_bit = *start.get(4)? == 2;
        let is_little_endian = *start.get(5)? == 1;
        let number = |at, size| number(start, at, size, is_little_endian);
        let headers = if is_64_bit {
            (number(32, 8)?, number(54, 2)?, number(56, 2)?)
        } else {
            (number(28, 4)?, number(42, 2)?, number(44, 2)?)
        };
        Some(Self { machine: number(18, 2)? as u16, is_64_bit, is_little_endian, headers })
    }

    /// Returns the path of the dynamic loader; `None` for a static program.
    fn loader(&self, file: &File, start: &[u8]) -> Option<Vec<u8>> {
        const PT_INTERP: u64 = 3;
        const MAX_HEADERS: u64 = 64;
        let (offset, size, count) = self.headers;
        for n in 0..count.min(MAX_HEADERS) {
            let mut header = [0; 56];
            let header = &mut header[..if self.is_64_bit { 56 } else { 32 }];
            read(file, start, header, offset.checked_add(n * size)?)?;
            let number = |at, size| number(header, at, size, self.is_little_endian);
            if number(0, 4)? == PT_INTERP {
                let (at, length) = if self.is_64_bit {
                    (number(8, 8)?, number(32, 8)?)
                } else {
                    (number(4, 4)?, number(16, 4)?)
                };
                let mut path = vec![0; usize::try_from(length).ok()?.min(libc::PATH_MAX as usize)];
                read(file, start, &mut path, at)?;
                path.truncate(path.iter().position(|&byte| byte == 0)?);
                return Some(path);
            }
        }
        None
    }
}

/// Fills `bytes` from the file at `offset`, without a system call if `start` holds them.
fn read(file: &File, start: &[u8], bytes: &mut [u8], offset: u64) -> Option<()> {
    let first = usize::try_from(offset).ok()?;
    match start.get(first..first.checked_add(bytes.len())?) {
        Some(there) => bytes.copy_from_slice(there),
        None => file.read_exact_at(bytes, offset).ok()?,
    }
    Some(())
}

fn number(bytes: &[u8], at: usize, size: usize, is_little_endian: bool) -> Option<u64> {
    let bytes = bytes.get(at..at + size)?;
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if is_little_endian { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
}

/// Machines by their number in an ELF header (EM_* in elf.h).
const MACHINES: [(u16, &str); 10] = [
    (3, "x86 (32 bits)"),
    (8, "MIPS"),
    (20, "PowerPC"),
    (21, "PowerPC (64 bits)"),
    (22, "S/390"),
    (40, "ARM (32 bits)"),
    (62, "x86-64 (amd64)"),
    (183, "AArch64 (arm64)"),
    (243, "RISC-V"),
    (258, "LoongArch"),
];

/// The machine that afterall is built for.
const OWN_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "x86") {
    3
} else if cfg!(target_arch = "arm") {
    40
} else if cfg!(target_arch = "powerpc64") {
    21
} else if cfg!(target_arch = "s390x") {
    22
} else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
    243
} else if cfg!(target_arch = "loongarch64") {
    258
} else {
    0
};

fn machine_name(number: u16) -> String {
    let known = MACHINES.iter().find(|(machine, _)| *machine == number);
    known.map_or_else(|| format!("machine {number}"), |(_, name)| (*name).to_owned())
}

/// Returns the system of a binary in another format.
fn foreign_system(start: &[u8]) -> String {
    const MACH_O: [&[u8]; 3] =
        [b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x02"];
    if MACH_O.iter().any(|magic| start.starts_with(magic)) {
        "it is built for macOS".to_owned()
    } else if start.starts_with(b"MZ") {
        "it is built for Windows".to_owned()
    } else {
        "it is neither a script nor a program of this system".to_owned()
    }
}

/// Returns `Foreign(why)`, unless the kernel accepts the file.
///
/// An x86-64 kernel may execute 32-bit programs, and binfmt_misc may have an emulator, which a
/// container cannot see. A test execution decides. A child executes the file under ptrace(2), which
/// stops it before its first instruction. The child is then killed.
fn check_format(path: &Path, why: String) -> Result<(), Unfit> {
    match try_exec(path) {
        Ok(Some(libc::ENOEXEC)) => Err(Unfit::Foreign(why)),
        // Any other error, or ptrace is forbidden: execvp decides after the wait.
        _ => Ok(()),
    }
}

/// Returns the error with which execve(2) rejects the file; `None` if it accepts the file.
fn try_exec(path: &Path) -> io::Result<Option<i32>> {
    const NO_PTRACE: i32 = 255;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let argv = [path.as_ptr(), ptr::null()];
    let envp = [ptr::null()];
    // SAFETY: between fork and exec the child calls only async-signal-safe functions, and reads
    // only data from before the fork.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: as above.
        0 => unsafe {
            if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) < 0 {
                libc::_exit(NO_PTRACE);
            }
            libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr());
            libc::_exit(*libc::__errno_location());
        },
        child => {
            let mut status = 0;
            // SAFETY: the child is ours and is not reaped yet.
            unsafe {
                libc::waitpid(child, &mut status, 0);
                if libc::WIFSTOPPED(status) {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &mut status, 0);
                    return Ok(None);
                }
            }
            let error = libc::WEXITSTATUS(status);
            Ok((libc::WIFEXITED(status) && error != NO_PTRACE).then_some(error))
        }
    }
}
