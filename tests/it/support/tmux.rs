//! A terminal in tmux: what a program shows, and how it reacts to keys and resizes.

use super::dir::Dir;
use super::process::{Scope, Server, program};
use super::wait::{LONG, wait_until};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Instant;

pub struct Terminal {
    dir: Dir,
    _server: Server,
}

impl Terminal {
    /// A terminal of this size that runs this shell. [`Terminal::prompt`] sets its prompt.
    pub fn new(columns: u32, rows: u32, shell: &[&str]) -> Self {
        let dir = Dir::new();
        let socket = dir.text("tmux");
        let home = format!("HOME={}", dir.path().display());
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        let tmux = program("tmux", "tmux");
        let words = [
            "/usr/bin/env",
            "-i",
            &home,
            &path,
            "LC_ALL=C.UTF-8",
            tmux.to_str().unwrap(),
            "-D",
            "-f",
            "/dev/null",
            "-S",
            &socket,
        ];
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let mut server =
            Server::start("tmux", &words, &dir.join("log"), Signal::TERM, Scope::Process);
        // The file is there a moment before the server listens.
        server.wait_until_up(|| UnixStream::connect(&socket).is_ok());
        let terminal = Self { dir, _server: server };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut words = vec!["new-session", "-d", "-x", &columns, "-y", &rows, "-c", "/", "--"];
        words.extend(shell);
        terminal.tmux(&words);
        terminal
    }

    /// With a plain sh, whose prompt is `$ `.
    pub fn sh(columns: u32, rows: u32) -> Self {
        let terminal =
            Self::new(columns, rows, &["/usr/bin/env", "-u", "TMUX", "PS1=$ ", "/bin/sh"]);
        terminal.wait_for("the prompt", |screen| screen.trim_end() == "$");
        terminal
    }

    /// A directory that lives as long as the terminal.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    #[track_caller]
    fn tmux(&self, args: &[&str]) -> String {
        let socket = self.dir.text("tmux");
        let output = Command::new(program("tmux", "tmux"))
            .args(["-u", "-S", &socket])
            .args(args)
            .env_remove("TMUX")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types the text.
    pub fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Presses keys by tmux's names: `Enter`, `Tab`, `C-c`.
    pub fn press(&self, keys: &[&str]) {
        let words: Vec<&str> = ["send-keys"].iter().chain(keys).copied().collect();
        self.tmux(&words);
    }

    pub fn enters(&self, line: &str) {
        self.types(line);
        self.press(&["Enter"]);
    }

    pub fn resize(&self, columns: u32, rows: u32) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// All lines, without trailing blanks.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen and its scrollback, with escape sequences.
    pub fn history(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-S", "-"])
    }

    /// Column and row of the cursor, and true if it is visible.
    pub fn cursor(&self) -> (usize, usize, bool) {
        let text = self.tmux(&["display-message", "-p", "#{cursor_x} #{cursor_y} #{cursor_flag}"]);
        let numbers: Vec<usize> =
            text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2] == 1)
    }

    /// Returns the screen that was waited for. The next look may find half of another one.
    #[track_caller]
    pub fn wait_for(&self, awaited: &str, mut shown: impl FnMut(&str) -> bool) -> String {
        let mut screen = String::new();
        // A failed wait reports the screen.
        let begun = Instant::now();
        wait_until(awaited, LONG * 2, || {
            let late = begun.elapsed() > LONG;
            screen = self.screen();
            let is_shown = shown(&screen);
            assert!(is_shown || !late, "waited in vain for {awaited}; the screen:\n{screen}");
            is_shown
        });
        screen
    }
}
