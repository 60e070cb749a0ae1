//! The meaning of a response that holds no object.
//!
//! Source: meta/v1 `Status`, which the API server sends with every error.

use super::{
    access::Access,
    object::Object,
    target::{Selection, Target},
};
use crate::{
    kinds::http::{Answer, status_failure},
    probe::{Class, Failure, Message},
};

/// Returns the failure that a response with another status than 200 means.
pub(super) fn failure(answer: &Answer, target: &Target, access: &Access) -> Failure {
    let code = answer.status.as_u16();
    let status = Object::read(&answer.body).ok().filter(|object| object.text("/kind") == "Status");
    let reason = status.as_ref().map(|status| status.text("/reason")).unwrap_or_default();
    let words = status.map(|status| status.text("/message")).unwrap_or_default();
    let mut failure = status_failure(answer, "200", access.has_token());
    let is_answer_of_api = !words.is_empty();
    if is_answer_of_api {
        failure.message = Message::from(format!("{code}: {words}")).one_line();
    }
    match code {
        // A malformed selector never becomes right. An expired page does, on the next attempt. Its
        // message names the `continue` token.
        400 if reason == "BadRequest" && !words.contains("continue") => {
            failure.class = Class::Config
        }
        401 => return failure.hint(login(access)),
        403 => return failure.hint(rule(target, access)),
        404 if reason == "NotFound" => {
            failure.message = format!("not there yet ({})", failure.message).into();
            return failure.means_down();
        }
        404 if !is_answer_of_api => {
            let hint = format!(
                "the server has no {}: is it the API server of Kubernetes, 1.21 or later?",
                target.path(&access.namespace)
            );
            return failure.hint(hint);
        }
        // 410: the list changed between two pages. 5xx: e.g. etcd has no leader.
        410 | 500..=599 => failure.class = Class::Busy,
        _ => {}
    }
    failure
}

fn login(access: &Access) -> &'static str {
    if access.has_token() {
        "the token has expired, or is not one of this cluster"
    } else {
        "no token was sent: bearer or token-file gives one"
    }
}

/// Returns the rule that a Role must have, as one line of YAML.
pub(super) fn rule(target: &Target, access: &Access) -> String {
    let (group, plural) = (target.resource.group, target.resource.plural);
    let more = match &target.selection {
        Selection::Object(name) => format!("verbs: [get], resourceNames: [\"{name}\"]"),
        // A Role cannot restrict a list by names or labels.
        Selection::Pods(_) | Selection::SlicesOf(_) => "verbs: [list]".to_owned(),
    };
    format!(
        "a Role in namespace {}, bound to this account, must have under rules: \
         - {{apiGroups: [\"{group}\"], resources: [{plural}], {more}}}",
        access.namespace
    )
}
