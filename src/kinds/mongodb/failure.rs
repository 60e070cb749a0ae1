//! The meaning of the errors in replies.

use std::fmt;

use super::bson::Document;
use crate::{
    probe::{Class, Failure},
    text::one_line,
};

/// The longest part of a message that is the server's own, in characters.
const MAX_WORDS: usize = 200;

/// The code of a command that the server does not know.
const COMMAND_NOT_FOUND: i32 = 59;
/// The code of a command that needs a login, or a right.
const UNAUTHORIZED: i32 = 13;
/// The code of a command that the server does not serve. Azure Cosmos DB replies with it to every
/// command before the login, `hello` included.
const COMMAND_NOT_SUPPORTED: i32 = 115;

/// Returns true if a server with this code to `hello` may know the command's old name.
pub(super) fn may_know_old_name(code: i32) -> bool {
    matches!(code, COMMAND_NOT_FOUND | COMMAND_NOT_SUPPORTED)
}

/// Returns true if a server with this code does not serve now, whatever its `hello` says: in an
/// election or a shutdown, or a mongos that does not reach its shards.
///
/// Source: the drivers' specification "Retryable Reads", and `error_codes.yml`.
pub(super) fn is_not_serving(code: i32) -> bool {
    const CODES: [i32; 17] =
        [6, 7, 50, 70, 89, 91, 133, 134, 189, 202, 262, 9001, 10107, 11600, 11602, 13435, 13436];
    CODES.contains(&code)
}

/// Returns the code of an error in a reply, or `None` if the command succeeded.
pub(super) fn code(reply: Document<'_>) -> Option<i32> {
    if reply.is_true("ok") { None } else { Some(reply.number("code").unwrap_or_default() as i32) }
}

/// The failure for the error in a reply of the server at `place`.
///
/// The codes are those of `error_codes.yml` in MongoDB's source.
pub(super) fn reply_failure(reply: Document<'_>, place: impl fmt::Display) -> Failure {
    let code = code(reply).unwrap_or_default();
    let text = one_line(reply.text("errmsg").unwrap_or("an error without words"), MAX_WORDS);
    let name = match reply.text("codeName") {
        Some(name) => format!("{} {code}", one_line(name, 60)),
        None => format!("code {code}"),
    };
    let (class, hint) = match code {
        COMMAND_NOT_SUPPORTED if text.contains("prior to authentication") => meaning(UNAUTHORIZED),
        _ => meaning(code),
    };
    Failure::new(class, format!("{name}: {text} ({place})")).with_hint(hint)
}

fn meaning(code: i32) -> (Class, Option<&'static str>) {
    match code {
        // 8000 is Atlas's.
        11 | 18 | 8000 => {
            (Class::Auth, Some("wrong password or authSource, or the user does not exist yet"))
        }
        UNAUTHORIZED => (Class::Auth, Some("a right is missing, or not granted yet")),
        334 => (Class::Auth, Some("the server or the user has no such mechanism (authMechanism)")),
        COMMAND_NOT_FOUND => (Class::Protocol, None),
        // The server answers and does not serve: shutdown, an election, a limit.
        _ => (Class::Busy, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::bson::Builder, *};

    #[test]
    fn every_error_has_its_class() {
        for (number, class) in [
            (18, Class::Auth),
            (13, Class::Auth),
            (8000, Class::Auth),
            (59, Class::Protocol),
            (91, Class::Busy),
            (189, Class::Busy),
            (10107, Class::Busy),
            (11600, Class::Busy),
            (13436, Class::Busy),
        ] {
            let reply = Builder::default().i32("ok", 0).text("errmsg", "no").i32("code", number);
            let bytes = reply.text("codeName", "Name").finish();
            let reply = Document::read(&bytes).unwrap();
            let failure = reply_failure(reply, "m:27017");
            assert_eq!((code(reply), failure.class), (Some(number), class));
            assert_eq!(&*failure.message, format!("Name {number}: no (m:27017)"));
        }
        let reply = Builder::default().i32("ok", 0).i32("code", COMMAND_NOT_SUPPORTED);
        let bytes = reply.text("errmsg", "not supported prior to authentication.").finish();
        assert_eq!(reply_failure(Document::read(&bytes).unwrap(), "m").class, Class::Auth);
        let bytes = Builder::default().i32("ok", 1).finish();
        assert_eq!(code(Document::read(&bytes).unwrap()), None);
    }
}
