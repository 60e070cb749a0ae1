//! GitHub Actions: a failure becomes an annotation of the job.
//!
//! The runner reads workflow commands from both streams of a step. Source: GitHub's "Workflow
//! commands for GitHub Actions" and `escapeData` of actions/toolkit.

/// The variable that GitHub's runner sets to `true`.
const VARIABLE: &str = "GITHUB_ACTIONS";

/// Returns true if GitHub's runner started us.
pub(super) fn is_runner() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "true")
}

/// The workflow command that reports an error. A message of several lines stays one command.
pub(super) fn error(message: &str) -> String {
    let escaped = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::error::afterall: {escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_escaped_as_the_runner_reads_it() {
        for (message, want) in [
            ("db: timed out", "::error::afterall: db: timed out\n"),
            ("100%\r\nb: x", "::error::afterall: 100%25%0D%0Ab: x\n"),
            ("%0A", "::error::afterall: %250A\n"),
        ] {
            assert_eq!(error(message), want);
        }
    }
}
