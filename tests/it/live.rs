//! The live view on a real terminal.

use crate::support::odd::odd;
use crate::support::process::program;
use crate::support::{
    Afterall, Counted, Dir, LONG, Reserved, Scripted, Terminal, is_waiting, ms, secs, wait_for,
    wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A shell in which `afterall` is the binary, on an empty screen.
fn terminal(columns: u32, rows: u32) -> Terminal {
    let terminal = Terminal::sh(columns, rows);
    terminal
        .dir()
        .write("rc", format!("afterall() {{ {} \"$@\"; }}\n", Afterall::program().display()));
    let rc = terminal.dir().text("rc");
    terminal.enters(&format!(". {rc}; cd {}; clear; : >set-up", terminal.dir().path().display()));
    // The screen was empty but for the prompt before, too.
    wait_until("the shell is set up", secs(20), || terminal.dir().join("set-up").exists());
    terminal.wait_for("an empty screen", |screen| screen.trim_end() == "$");
    terminal
}

fn is_moving(line: &str) -> bool {
    line.starts_with(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c))
}

fn moving(screen: &str) -> Vec<&str> {
    screen.lines().filter(|line| is_moving(line)).collect()
}

/// For one attempt alone: its number makes lines longer in the course of time.
const SELDOM: &str = "--interval 1h --max-interval 1h";

/// Two ports that refuse, and the dependencies that wait for them.
fn two() -> (Reserved, Reserved, String) {
    let (db, cache) = (Reserved::new(), Reserved::new());
    let (first, second) = (db.address(), cache.address());
    let words = format!("db=tcp://{first}#timeout=9m cache=tcp://{second}#timeout=never");
    (db, cache, words)
}

#[test]
fn a_line_for_each_dependency_moves_and_collapses_when_it_is_ready() {
    let terminal = terminal(100, 24);
    let (db, cache, words) = two();
    let (db_at, cache_at) = (db.address(), cache.address());
    terminal.enters(&format!("afterall {words} -- echo started"));
    terminal.wait_for("both lines", |screen| {
        let lines = moving(screen);
        lines.len() == 2
            && lines[0].contains(" db ")
            && lines[0].contains("s left")
            && lines[0].contains(&format!("connection refused ({db_at}) [class=connect attempt="))
            && lines[1].contains(" cache ")
            && lines[1].contains("no limit")
            && lines[1]
                .contains(&format!("connection refused ({cache_at}) [class=connect attempt="))
    });
    let frame = |screen: &str| moving(screen).first().and_then(|line| line.chars().next());
    let first = frame(&terminal.screen());
    terminal.wait_for("another frame", |screen| frame(screen).is_some() && frame(screen) != first);
    let _db = db.serve(|_, _| {});
    terminal.wait_for("the first to collapse", |screen| {
        moving(screen).len() == 1
            && screen.lines().any(|line| line.starts_with("afterall: db: ready: "))
    });
    let _cache = cache.serve(|_, _| {});
    terminal.wait_for("the command", |screen| screen.lines().any(|line| line == "started"));
    let screen = terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("\n$"));
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let after = lines.iter().position(|line| line.starts_with("afterall: db: ready: ")).unwrap();
    assert!(lines[after + 1].starts_with("afterall: cache: ready: "), "{screen}");
    assert!(lines[after + 2].starts_with("afterall: ready after "), "{screen}");
    assert!(lines[after + 2].contains("; cache was last"), "{screen}");
    assert_eq!(lines[after + 3..], ["started", "$"], "{screen}");
    assert_eq!(terminal.cursor(), (2, after + 4, true), "{screen}");
}

#[test]
fn what_is_ready_at_once_leaves_no_trace_of_a_view() {
    let terminal = terminal(100, 24);
    terminal.enters("afterall -q file:/ -- echo started");
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("started\n$"));
    assert_eq!(terminal.screen().trim_end().lines().count(), 3, "{}", terminal.screen());
}

#[test]
fn a_narrow_terminal_gets_lines_that_fit() {
    let terminal = terminal(20, 10);
    let (_db, _cache, words) = two();
    terminal.dir().write("run", format!("afterall {words}\n"));
    terminal.enters(". ./run");
    let first = terminal.wait_for("both lines", |screen| moving(screen).len() == 2);
    // Several frames later there are still two lines and nothing of earlier ones.
    let is_later = |screen: &str| moving(screen).len() == 2 && *screen != first;
    let screen = terminal.wait_for("a later frame", is_later);
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    assert_eq!(lines.len(), 3, "{screen}");
    assert!(lines.iter().all(|line| line.chars().count() < 20), "{screen}");
    terminal.press(&["C-c"]);
    terminal.wait_for("the prompt", |screen| {
        screen.trim_end().ends_with("\n$") && moving(screen).is_empty()
    });
}

#[test]
fn every_width_shows_what_the_log_says() {
    for columns in [40, 60, 80, 100, 160] {
        let terminal = terminal(columns, 24);
        let port = Reserved::new();
        let (dir, at) = (terminal.dir(), port.address());
        let words = format!(
            "postgres://app@{at}/app schema=file:{}#after=db db=tcp://{at} gone=file:{}",
            dir.text("schema"),
            dir.text("gone"),
        );
        dir.write("run", format!("afterall {SELDOM} {words}\n"));
        terminal.enters(". ./run");
        let wanted = [
            format!("connection refused ({at}) [class=connect attempt="),
            format!("no such file or directory ({}) [class=absent attempt=", dir.text("gone")),
            "waits for db".to_owned(),
        ];
        // Lines are broken between words, and within a word that is longer than the terminal.
        let joined = |screen: &str| screen.replace(char::is_whitespace, "");
        let awaited = format!("the whole reasons at {columns} columns");
        let screen = terminal.wait_for(&awaited, |screen| {
            let text = joined(screen);
            moving(screen).len() == 4 && wanted.iter().all(|wanted| text.contains(&joined(wanted)))
        });
        let lines = || screen.trim_end().lines();
        assert!(lines().all(|line| line.chars().count() < columns as usize), "{screen}");
        // The first is longer than its column, or than the terminal has room for.
        let name = moving(&screen)[0].split_whitespace().nth(1).unwrap();
        assert!(name.contains('…') && name.chars().count() <= 24, "{screen}");
        let schema = lines().find(|line| line.contains(" schema ")).unwrap_or_default();
        assert!(!schema.contains("left"), "a clock runs for what waits for others:\n{screen}");
        terminal.press(&["C-c"]);
    }
}

#[test]
fn a_class_that_is_left_stays_above() {
    let terminal = terminal(120, 24);
    let port = Reserved::new();
    let above = format!("afterall: bus: waiting: connection refused ({}) ", port.address());
    terminal.enters(&format!("afterall bus=nats://{}", port.address()));
    terminal.wait_for("its line", |screen| moving(screen).len() == 1);
    let _server = port.serve(|_, mut stream| {
        use std::io::Write;
        let _ = stream.write_all(b"-ERR 'Authorization Violation'\r\n");
    });
    terminal.wait_for("both classes", |screen| {
        moving(screen).len() == 1
            && screen.lines().any(|line| line.starts_with(&above))
            && screen.contains("[class=auth attempt=")
    });
    terminal.press(&["C-c"]);
}

#[test]
fn a_resize_leaves_nothing_of_earlier_frames_behind() {
    let terminal = terminal(100, 24);
    let (_db, _cache, words) = two();
    terminal.dir().write("run", format!("seq -f above-%g 12\nafterall {SELDOM} {words}\n"));
    terminal.enters(". ./run");
    // tmux moves upper lines into its history when it breaks lines, so lines above may be missing.
    let is_above = |line: &&str| *line == "$ . ./run" || line.starts_with("above-");
    let is_settled = |screen: &str| {
        let mut lines = screen.trim_end().lines().skip_while(is_above);
        moving(screen).len() == 2
            && lines.all(|line| is_moving(line) || line.starts_with("    "))
            && screen.matches("refused").count() <= 2
    };
    terminal.wait_for("both lines", is_settled);
    let mut columns: u32 = 100;
    for (wanted, rows, above) in [
        (30, 24, Some("above-12")),
        (100, 24, Some("above-12")),
        (12, 24, None),
        (70, 8, None),
        (100, 24, None),
    ] {
        // As a user drags the window's edge. tmux breaks lines at each step, and reports a few.
        while columns != wanted {
            columns = if columns < wanted { columns + 1 } else { columns - 1 };
            terminal.resize(columns, rows);
        }
        terminal.wait_for(&format!("both lines and nothing else at {wanted}x{rows}"), |screen| {
            is_settled(screen)
                && screen.lines().all(|line| line.chars().count() < wanted as usize)
                && above.is_none_or(|above| screen.lines().rfind(is_above) == Some(above))
        });
    }
    terminal.press(&["C-c"]);
    terminal.wait_for("the prompt", |screen| {
        screen.trim_end().ends_with("\n$") && moving(screen).is_empty()
    });
}

#[test]
fn more_dependencies_than_rows_are_counted() {
    let terminal = terminal(80, 6);
    let port = Reserved::new();
    let words: Vec<String> = (0..9).map(|n| format!("d{n}=tcp://{}", port.address())).collect();
    terminal.dir().write("run", format!("afterall {}\n", words.join(" ")));
    terminal.enters(". ./run");
    let first = terminal.wait_for("as many lines as fit", |screen| {
        moving(screen).len() == 3 && screen.contains("  and 6 more")
    });
    terminal.wait_for("a later frame", |screen| *screen != first && moving(screen).len() == 3);
    let history = terminal.history();
    // A frame may be half drawn.
    assert!(history.matches("and 6 more").count() <= 1, "{history}");
    terminal.press(&["C-c"]);
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("\n$"));
}

#[test]
fn a_frame_at_the_top_of_the_screen_leaves_no_copies_in_the_history() {
    let terminal = terminal(100, 24);
    let (_db, _cache, words) = two();
    terminal.enters(&format!("clear; afterall {words}"));
    let is_at_the_top =
        |screen: &str| moving(screen).len() == 2 && screen.lines().take(2).all(is_moving);
    let first = terminal.wait_for("both lines", is_at_the_top);
    terminal.wait_for("a later frame", |screen| *screen != first && is_at_the_top(screen));
    let history = terminal.history();
    // A frame may be half drawn.
    assert!(history.matches("refused").count() <= 2, "{history}");
    terminal.press(&["C-c"]);
}

#[test]
fn no_color_leaves_text_without_attributes() {
    for (variable, colored) in [("", true), ("NO_COLOR=1", false)] {
        let terminal = terminal(100, 24);
        let (_db, _cache, words) = two();
        terminal.enters(&format!("{variable} afterall {words}"));
        terminal.wait_for("both lines", |screen| moving(screen).len() == 2);
        let has_color = || terminal.history().contains("\u{1b}[2m");
        // A frame may be half drawn.
        if colored {
            wait_until("colours", LONG, has_color);
        } else {
            assert!(!has_color(), "{variable}");
        }
        terminal.press(&["C-c"]);
    }
}

#[test]
fn where_nobody_watches_it_is_plain() {
    let port = Reserved::new();
    let dependency = format!("db=tcp://{}", port.address());
    for how in [
        format!("TERM=dumb afterall -t 1s {dependency}"),
        format!("TERM= afterall -t 1s {dependency}"),
        format!("CI=true afterall -t 1s {dependency}"),
        format!("afterall -t 1s --format plain {dependency}"),
        format!("afterall -t 1s -v {dependency}"),
        format!("afterall -t 1s {dependency} 2>log; cat log"),
        format!(
            "unshare --map-root-user --fork --pid {} -t 1s {dependency}",
            Afterall::program().display()
        ),
    ] {
        let terminal = terminal(120, 24);
        terminal.enters(&how);
        let mut moved = false;
        let screen = terminal.wait_for(&how, |screen| {
            moved |= !moving(screen).is_empty();
            screen.trim_end().ends_with("\n$")
        });
        assert!(
            !moved
                && screen.contains("afterall: db: waiting: ")
                && screen.contains("afterall: db: timed out: "),
            "{screen}"
        );
    }
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let terminal = terminal(100, 24);
    let (_db, _cache, words) = two();
    terminal.enters("stty -a >before");
    terminal.enters(&format!("clear; afterall {words} -- echo started"));
    terminal.wait_for("both lines", |screen| moving(screen).len() == 2);
    terminal.press(&["C-c"]);
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("\n$"));
    // The shell noticed the signal. It would not have continued the line otherwise.
    terminal.enters("echo code $?; stty -a >after; cmp before after && echo same");
    let screen = terminal.wait_for("the end", |screen| screen.trim_end().ends_with("\nsame\n$"));
    // The shell prints only a line's end if a signal ended its command.
    let screen = screen.replace("\n\n", "\n");
    assert!(
        screen.starts_with("afterall: ended by SIGINT while waiting for db, cache\n$ echo"),
        "{screen}"
    );
    assert!(screen.contains("\ncode 130\nsame\n"), "{screen}");
    assert!(moving(&screen).is_empty() && !screen.contains("started\n"), "{screen}");
    assert!(terminal.cursor().2, "the cursor is hidden");
}

#[test]
fn the_command_gets_the_terminal_as_it_was() {
    let terminal = terminal(100, 24);
    let (db, cache, words) = two();
    // State that could confuse a command: the modes, the flags of the descriptor, and the cursor.
    let state = "stty -a; grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2";
    terminal.dir().write_script("state", &format!("#!/bin/sh\n{state}\n"));
    terminal.enters("./state >before");
    terminal.enters(&format!(
        "clear; afterall {words} -- sh -c './state >after; stty size; cmp before after && echo \
        same'"
    ));
    terminal.wait_for("both lines", |screen| moving(screen).len() == 2);
    let (_db, _cache) = (db.serve(|_, _| {}), cache.serve(|_, _| {}));
    terminal.wait_for("the end", |screen| screen.trim_end().ends_with("\n24 100\nsame\n$"));
}

#[test]
fn a_failed_wait_reports_what_is_missing() {
    let terminal = terminal(120, 24);
    let (_db, _cache, words) = two();
    let words = words.replace("=9m", "=500ms").replace("#timeout=never", "");
    terminal.enters(&format!("afterall {words}; echo code $?"));
    let is_over = |screen: &str| screen.trim_end().ends_with("\ncode 124\n$");
    let screen = terminal.wait_for("the end", is_over);
    assert!(screen.contains("\nafterall: db: timed out: connection refused "), "{screen}");
    assert!(screen.contains("\nafterall: cache: not ready: connection refused "), "{screen}");
    assert!(moving(&screen).is_empty(), "{screen}");
}

#[test]
fn a_stopped_terminal_delays_nothing_and_loses_no_line() {
    let terminal = terminal(120, 24);
    let (db, cache, words) = two();
    let command = Counted::new();
    terminal.enters(&format!("clear; afterall {words} -- {}", command.path()));
    terminal.wait_for("both lines", |screen| moving(screen).len() == 2);
    terminal.press(&["C-s"]);
    let db = db.serve(|_, _| {});
    wait_until("the first is ready", secs(20), || db.connections() > 0);
    terminal.press(&["C-q"]);
    terminal.wait_for("the line that was kept", |screen| {
        moving(screen).len() == 1 && screen.matches("afterall: db: ready: ").count() == 1
    });
    terminal.press(&["C-s"]);
    let _cache = cache.serve(|_, _| {});
    wait_until("the command was started", secs(20), || command.runs() == 1);
    terminal.press(&["C-q"]);
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("\n$"));
}

#[test]
fn a_server_cannot_draw_on_the_terminal() {
    use std::io::Write;
    let hostile = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(
            "-ERR 'x\x1b[2J\x1b[1;1Hgone 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字'\r\n".as_bytes(),
        );
    });
    let terminal = terminal(60, 24);
    terminal.dir().write("run", format!("afterall bus=nats://{}\n", hostile.address()));
    terminal.enters(". ./run");
    let is_whole = |screen: &str| moving(screen).len() == 1 && screen.matches('漢').count() == 17;
    let first = terminal.wait_for("its line", is_whole);
    let is_later = |screen: &str| *screen != first && is_whole(screen);
    let screen = terminal.wait_for("a later frame", is_later);
    // Wide letters take two columns each, and no line is broken by the terminal.
    let mut lines = screen.trim_end().lines().skip(2);
    assert!(lines.all(|line| line.starts_with("    ")), "{screen}");
    assert!(screen.starts_with("$ . ./run\n"), "{screen}");
    assert!(screen.contains("[2J"), "{screen}");
    terminal.press(&["C-c"]);
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("\n$"));
}

/// 500 dependencies that are down.
fn many(dir: &Dir) -> String {
    (0..500)
        .map(|n| format!("a-rather-long-name-{n}=file:{}", dir.text("none")))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn an_unread_terminal_delays_neither_the_end_nor_a_signal() {
    for (timeout, ends_itself) in [("1500ms", true), ("never", false)] {
        let dir = Dir::new();
        // The shell's process becomes us; its parent, which alone reads the terminal, is stopped.
        let afterall = format!(
            "exec {} --format live -t {timeout} {}",
            Afterall::program().display(),
            many(&dir)
        );
        let script = format!(
            "stty rows 600 cols 200\necho $$ $PPID >pids.new\nmv pids.new pids\nread go <go\n\
            {afterall}\n"
        );
        dir.write("run", script);
        assert!(Command::new("mkfifo").arg(dir.join("go")).status().unwrap().success());
        let mut command = Command::new(program("script", "bsdutils"));
        command
            .args(["-qc", "exec sh ./run", "/dev/null"])
            .current_dir(dir.path())
            .env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut reader = command.spawn().unwrap();
        wait_until("the shell runs", secs(20), || dir.join("pids").exists());
        let text = dir.read("pids");
        let mut pids =
            text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
        let (ours, theirs) = (pids.next().unwrap(), pids.next().unwrap());
        kill_process(theirs, Signal::STOP).unwrap();
        fs::write(dir.join("go"), "\n").unwrap();
        let proc = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", ours.as_raw_pid())).unwrap_or_default()
        };
        let is_over = || proc("stat").is_empty() || proc("stat").contains(") Z ");
        if !ends_itself {
            wait_until("it waits", LONG, || is_waiting(ours.as_raw_pid()));
            let begun = Instant::now();
            wait_until("several frames were due, and the terminal is full", LONG, || {
                begun.elapsed() > secs(1)
            });
            assert!(!is_over());
            kill_process(ours, Signal::TERM).unwrap();
        }
        wait_until("it is over", LONG, is_over);
        let last = |status: &str| status.split_whitespace().last().map(str::to_owned);
        let status = wait_for("its status", LONG, || last(&proc("stat")));
        assert_eq!(
            status,
            if ends_itself { (124 << 8).to_string() } else { "15".to_owned() },
            "{timeout}"
        );
        let _ = kill_process(theirs, Signal::KILL);
        let _ = reader.kill();
        reader.wait().unwrap();
    }
}

#[test]
fn an_unread_pipe_delays_neither_the_end_nor_a_signal() {
    let dir = Dir::new();
    for op in ["full-stderr", "nearly-full-stderr"] {
        let live = |timeout: &str| {
            let words = many(&dir);
            Afterall::waiting_for(words.split(' '))
                .args(["--format", "live", "-t", timeout])
                .under(odd([op]))
        };
        live("500ms").run().code(124).took(ms(500)..secs(5));
        let running = live("never").spawn();
        wait_until("several frames were drawn", secs(20), || running.elapsed() > secs(1));
        running.signal(15);
        running.done().signal(15);
    }
}

#[test]
fn a_frame_larger_than_a_pipe_arrives_whole() {
    let dir = Dir::new();
    let done = Afterall::waiting_for(many(&dir).split(' '))
        .args(["--format", "live", "-t", "500ms"])
        .run()
        .code(124);
    let said = done.stderr_text();
    assert!(said.contains("  and 479 more"), "{said}");
    let ends = said
        .lines()
        .filter(|line| line.contains(": not ready: ") || line.contains(": timed out: "));
    assert_eq!(ends.filter(|line| line.contains("[class=absent ")).count(), 500, "{said}");
}
