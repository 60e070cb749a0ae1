//! One look at a dependency by `--once`, and its expected outcome.

use super::{Afterall, Done};

/// Looks once at the dependency `x`.
pub fn once(url: &str) -> Done {
    Afterall::new().arg("--once").arg(format!("x={url}")).run()
}

/// The dependency must be ready, and the row must hold `says`.
#[track_caller]
pub fn ready(url: &str, says: &str) {
    once(url).code(0).stdout_has(says);
}

/// The dependency must not be ready, for this class of reason; the row must hold `says`.
#[track_caller]
pub fn not_ready(url: &str, class: &str, says: &str) {
    let done = once(url).any_stdout();
    let (code, said) = (done.status().code(), done.stdout_text());
    let as_expected = code == Some(69) && said.contains(&format!("[class={class}]"));
    assert!(as_expected && said.contains(says), "{url}: expected {class}: {says}\n{said}");
}
