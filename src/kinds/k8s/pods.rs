//! Pods are ready: one by name, or at least one of a selector and all that run.
//!
//! `kubectl wait --for=condition=Ready` waits for ever for a pod that has completed. Such pods,
//! and those that were evicted or are being deleted, stay in a list although others have replaced
//! them. So they do not count in a selection.

use serde_json::Value;

use super::object::{Object, explanation};
use crate::probe::{Class, Failure};

/// The most pods that one message names.
const NAMED: usize = 3;

/// The state of one pod.
enum State {
    Ready,
    /// Not ready, for this reason.
    Unready(String),
    /// Its containers have ended, and will not start again (phase Succeeded).
    Completed,
    /// Its containers have ended with a failure (phase Failed), for this reason.
    Failed(String),
    Deleted,
}

fn state(pod: &Object<'_>) -> State {
    let phase = pod.status("/phase").as_str().unwrap_or_default();
    let field = |name: &str| pod.status(name).as_str().unwrap_or_default();
    match phase {
        "Succeeded" => State::Completed,
        "Failed" => State::Failed(explanation(field("/reason"), field("/message"))),
        _ if pod.is_being_deleted() => State::Deleted,
        _ if pod.holds("Ready").is_some() => State::Ready,
        _ => State::Unready(why(pod, phase)),
    }
}

/// Returns the reason of a pod that is not ready: the first container that waits, or a condition.
fn why(pod: &Object<'_>, phase: &str) -> String {
    let statuses = ["/initContainerStatuses", "/containerStatuses"];
    let containers = statuses.iter().filter_map(|list| pod.status(list).as_array()).flatten();
    for container in containers {
        let waiting = &container["state"]["waiting"];
        let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = field(&waiting["reason"]);
        // These two reasons occur at every start and explain nothing.
        if !["", "ContainerCreating", "PodInitializing"].contains(&reason.as_str()) {
            let name = field(&container["name"]);
            return format!(
                ": container {name}{}",
                explanation(&reason, &field(&waiting["message"]))
            );
        }
    }
    let unscheduled = pod.condition("PodScheduled").filter(|at| at.status != "True");
    let condition = unscheduled.or_else(|| pod.condition("Ready"));
    match condition
        .map(|condition| condition.explanation())
        .filter(|explanation| !explanation.is_empty())
    {
        Some(explanation) => explanation,
        None if phase.is_empty() => String::new(),
        None => format!(": {phase}"),
    }
}

/// Returns the detail of the ready pod of this name, or the failure.
pub(super) fn judge(pod: &Object<'_>) -> Result<String, Failure> {
    let name = pod.name();
    let failure =
        |class, message: String| Err(Failure::new(class, format!("pod {name} {message}")));
    match state(pod) {
        State::Ready => Ok(format!("pod {name} is ready")),
        State::Unready(why) => failure(Class::Busy, format!("is not ready{why}")),
        State::Completed => {
            failure(Class::Absent, "has completed".to_owned()).map_err(|failure: Failure| {
                failure.hint("k8s:job/NAME waits until the pods of a Job have ended")
            })
        }
        State::Failed(why) => failure(Class::Failed, format!("has failed{why}")),
        State::Deleted => failure(Class::Absent, "is being deleted".to_owned()),
    }
}

/// The pods of a selection, counted page by page.
#[derive(Default)]
pub(super) struct Census {
    ready: usize,
    unready: Vec<(String, String)>,
    more_unready: usize,
    completed: usize,
    failed: usize,
    deleted: usize,
}

impl Census {
    /// Counts one pod.
    pub(super) fn add(&mut self, pod: &Object<'_>) {
        match state(pod) {
            State::Ready => self.ready += 1,
            State::Unready(why) if self.unready.len() < NAMED => {
                self.unready.push((pod.name(), why));
            }
            State::Unready(_) => self.more_unready += 1,
            State::Completed => self.completed += 1,
            State::Failed(_) => self.failed += 1,
            State::Deleted => self.deleted += 1,
        }
    }

    /// Returns true if no further page can change the verdict.
    pub(super) fn is_decided(&self) -> bool {
        !self.unready.is_empty()
    }

    /// Returns the detail of ready pods, or the failure. `own` is the name of the pod that waits.
    pub(super) fn verdict(self, selector: &str, own: Option<&str>) -> Result<String, Failure> {
        let rest = self.left_out();
        let Some((_, first)) = self.unready.first() else {
            return match self.ready {
                0 if rest.is_empty() => {
                    let message = format!("no pod has {selector}");
                    Err(Failure::new(Class::Absent, message).means_down())
                }
                0 => Err(Failure::new(Class::Absent, format!("no pod with {selector} runs{rest}"))),
                ready => Ok(format!("{ready} {} ready{rest}", number(ready))),
            };
        };
        let count = self.unready.len() + self.more_unready;
        let names: Vec<&str> = self.unready.iter().map(|(name, _)| name.as_str()).collect();
        let more = if self.more_unready > 0 { ", ..." } else { "" };
        let names = format!("{}{more}", names.join(", "));
        let all = count + self.ready;
        let message = format!("{count} of {all} pods {} not ready ({names}){first}", verb(count));
        let failure = Failure::new(Class::Busy, message);
        match own.filter(|own| self.unready.iter().any(|(name, _)| name == own)) {
            Some(_) => Err(failure.hint("this pod has these labels too, and waits for itself")),
            None => Err(failure),
        }
    }

    /// Returns those that do not count.
    fn left_out(&self) -> String {
        let counts = [
            (self.completed, "completed"),
            (self.failed, "failed"),
            (self.deleted, "being deleted"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let texts: Vec<String> = counts.map(|(count, state)| format!("{count} {state}")).collect();
        if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
    }
}

fn number(count: usize) -> &'static str {
    if count == 1 { "pod is" } else { "pods are" }
}

fn verb(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
