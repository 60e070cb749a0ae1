//! One look at a dependency by `--once`, and its expected outcome.

use super::{Afterall, Done};

/// Looks once at the declared dependency.
pub fn once(declared: &str) -> Done {
    Afterall::once().arg(declared).run()
}

/// The dependency must be ready, and the row must hold `says`.
#[track_caller]
pub fn ready(declared: &str, says: &str) {
    once(declared).code(0).stdout_has(says);
}

/// The dependency must not be ready, for this class of reason; the row must hold `says`. A mistake
/// of the class `config` may be found before the look, too.
#[track_caller]
pub fn not_ready(declared: &str, class: &str, says: &str) {
    let done = once(declared).any_stdout();
    let (as_expected, said) = match done.status().code() {
        Some(64) => (class == "config", done.stderr_text()),
        code => {
            let said = done.stdout_text();
            (code == Some(69) && said.contains(&format!("[class={class}]")), said)
        }
    };
    assert!(as_expected && said.contains(says), "{declared}: expected {class}: {says}\n{said}");
}
