//! Commands that the kernel cannot execute: found before the wait, and no other ones.

use super::*;

/// A program of this machine, with the machine in its header replaced.
fn built_for(machine: u8) -> Vec<u8> {
    let mut elf = std::fs::read("/bin/true").unwrap();
    elf[18..20].copy_from_slice(&[machine, 0]);
    elf
}

/// A program whose loader has another name of the same length.
fn with_loader_renamed() -> Vec<u8> {
    let mut elf = std::fs::read("/bin/true").unwrap();
    let at = elf.windows(4).position(|bytes| bytes == b"/lib").unwrap();
    elf[at + 1] = b'L';
    elf
}

#[test]
fn a_command_that_cannot_be_executed_is_reported_before_the_wait() {
    let foreign = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    let mach_o = b"\xcf\xfa\xed\xfe\x0c\0\0\x01".to_vec();
    let dir = Dir::new();
    for (content, code, why) in [
        (built_for(foreign), 126, "it is built for "),
        (built_for(foreign), 126, ", and this machine is "),
        (mach_o, 126, "it is built for macOS"),
        (b"MZ\x90\0\x03".to_vec(), 126, "it is built for Windows"),
        (b"\x7fELF".to_vec(), 126, "the file is cut short"),
        (with_loader_renamed(), 127, "its loader /Lib"),
        (b"#!/no/such/sh -e\n".to_vec(), 127, "its interpreter /no/such/sh does not exist"),
        (b"#! /bin/sh\r\necho\r\n".to_vec(), 127, "its interpreter /bin/sh\\r does not exist: the"),
        (b"#!/usr/bin/env sh\r\n".to_vec(), 127, "its interpreter sh\\r does not exist: the first"),
        (b"#!/usr/bin/env no-such\n".to_vec(), 127, "its interpreter no-such does not exist"),
        (b"#!/etc/passwd\n".to_vec(), 126, "its interpreter /etc/passwd: permission denied"),
        (b"#!/tmp\n".to_vec(), 126, "its interpreter /tmp: is a directory"),
    ] {
        let command = dir.write_with_mode("command", 0o755, content);
        let never = format!("file:{}#timeout=20s", dir.text("never"));
        let done = Afterall::waiting_for([&never]).becoming([&command]).run().code(code);
        let command = format!("afterall: {}: cannot be executed: ", command.display());
        done.took(..secs(10)).stderr_has(&command).stderr_has(why);
        // A fault that appears during the wait is reported after it.
        let late = dir.text("late");
        let appears = format!("exec:cp -p {} {late}", dir.text("command"));
        let done = Afterall::waiting_for([&format!("file:{late}"), &appears]);
        done.becoming([&late]).run().code(code).stderr_has(why);
        std::fs::remove_file(late).unwrap();
    }
    let done = Afterall::waiting_for(["file:/"]).becoming(["/tmp"]).run().code(126);
    done.stderr("afterall: /tmp: cannot be executed: is a directory\n");
}

#[test]
fn a_command_that_execvp_can_run_is_not_refused() {
    let dir = Dir::new();
    let env = "#!/usr/bin/env -S sh -e\necho out\n";
    for (content, out) in [
        ("echo out\n", "out\n"),
        ("", ""),
        ("#!/bin/sh\necho out\n", "out\n"),
        ("#!\t/bin/sh -e \necho out\n", "out\n"),
        ("#!/usr/bin/env sh\necho out\n", "out\n"),
        (env, "out\n"),
        ("#!/bin/sh", ""),
    ] {
        let command = dir.write_with_mode("command", 0o755, content);
        let done = Afterall::waiting_for(["-q", "file:/"]).becoming([&command]).run();
        done.code(0).stdout(out);
    }
    // A script whose interpreter is a script.
    let inner = dir.write_with_mode("inner", 0o755, "#!/bin/sh\necho inner\n");
    let outer = dir.write_with_mode("outer", 0o755, format!("#!{}\n", inner.display()));
    let done = Afterall::waiting_for(["-q", "file:/"]).becoming([&outer]).run();
    done.code(0).stdout("inner\n");
}
