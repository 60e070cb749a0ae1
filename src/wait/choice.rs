//! Alternatives: dependencies of which one is enough. Decides, and starts or ends nothing.

use std::collections::BTreeSet;

use super::Dependency;

/// The rule by which a dependency's `after` is fulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All of them come first.
    All,
    /// They are alternatives, and one is enough.
    One,
}

/// The reason why an alternative is given up, although none is ready. The mildest comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GivenUp {
    Hopeless,
    TimedOut,
    /// Its time is up, and the user has allowed to go on.
    Proceeded,
}

/// All choices of one wait.
#[derive(Debug, Default)]
pub(super) struct Choices(Vec<Choice>);

/// One dependency that needs one of several.
#[derive(Debug)]
struct Choice {
    place: usize,
    /// Its alternatives, each with the reason why it was given up.
    of: Vec<(usize, Option<GivenUp>)>,
    is_decided: bool,
}

/// The effect of the loss of a dependency.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// An open choice may do without the dependency.
    pub(super) is_alternative: bool,
    /// The choices that have no alternative left. A choice is proceeded past if the user allowed it
    /// for one alternative. It is hopeless only if every alternative is.
    pub(super) exhausted: Vec<(usize, GivenUp)>,
}

impl Choices {
    pub(super) fn new(dependencies: &[Dependency]) -> Self {
        let is_choice = |(_, dependency): &(usize, &Dependency)| dependency.needs == Needs::One;
        let choices = dependencies.iter().enumerate().filter(is_choice);
        let choices = choices.map(|(place, dependency)| Choice {
            place,
            of: dependency.after.iter().map(|&of| (of, None)).collect(),
            is_decided: false,
        });
        Self(choices.collect())
    }

    /// Returns the choices that never had an alternative.
    pub(super) fn empty(&self) -> Vec<usize> {
        self.0.iter().filter(|choice| choice.of.is_empty()).map(|choice| choice.place).collect()
    }

    /// Returns true if the dependency needs one of several, and none is ready yet.
    pub(super) fn is_open(&self, place: usize) -> bool {
        self.0.iter().any(|choice| choice.place == place && !choice.is_decided)
    }

    /// Records that a dependency is ready. Returns the dependencies that are no longer needed.
    pub(super) fn ready(&mut self, place: usize) -> Vec<usize> {
        let mut others = Vec::new();
        for choice in self.0.iter_mut().filter(|choice| !choice.is_decided && choice.has(place)) {
            choice.is_decided = true;
            others.extend(choice.of.iter().map(|(of, _)| *of).filter(|of| *of != place));
        }
        others
            .retain(|other| !self.0.iter().any(|choice| !choice.is_decided && choice.has(*other)));
        others
    }

    /// Records that a dependency is no longer waited for, and is not ready.
    pub(super) fn given_up(&mut self, place: usize, why: GivenUp) -> Loss {
        let mut loss = Loss::default();
        for choice in self.0.iter_mut().filter(|choice| !choice.is_decided) {
            let Some((_, state)) = choice.of.iter_mut().find(|(of, _)| *of == place) else {
                continue;
            };
            *state = Some(why);
            loss.is_alternative = true;
            let reasons: Option<Vec<GivenUp>> = choice.of.iter().map(|(_, why)| *why).collect();
            if let Some(mildest) = reasons.and_then(|reasons| reasons.into_iter().max()) {
                choice.is_decided = true;
                loss.exhausted.push((choice.place, mildest));
            }
        }
        loss
    }

    /// Returns the alternatives that can never be asked, and the reason.
    ///
    /// A dependency behind an alternative that was given up starts when the choice is decided. If
    /// every remaining alternative is behind such a one, nothing can decide the choice. `blocked`
    /// are the places that have not started, each with the places that come first.
    pub(super) fn stuck(&self, blocked: &[(usize, &[usize])]) -> Vec<(usize, GivenUp)> {
        let lost = |why: &Option<GivenUp>| why.filter(|why| *why != GivenUp::Proceeded);
        for choice in self.0.iter().filter(|choice| !choice.is_decided) {
            let Some(why) = choice.of.iter().filter_map(|(_, why)| lost(why)).max() else {
                continue;
            };
            let given_up = choice.of.iter().filter(|(_, why)| lost(why).is_some());
            let mut stuck: BTreeSet<usize> = given_up.map(|(of, _)| *of).collect();
            let mut before = 0;
            while before < stuck.len() {
                before = stuck.len();
                for (place, after) in blocked {
                    let is_stuck = match self.0.iter().find(|other| other.place == *place) {
                        Some(other) => other
                            .of
                            .iter()
                            .all(|(of, why)| lost(why).is_some() || stuck.contains(of)),
                        None => after.iter().any(|first| stuck.contains(first)),
                    };
                    if is_stuck {
                        stuck.insert(*place);
                    }
                }
            }
            let mut left = choice.of.iter().filter(|(_, why)| why.is_none()).map(|(of, _)| *of);
            if left.clone().all(|of| stuck.contains(&of)) {
                return left.by_ref().map(|of| (of, why)).collect();
            }
        }
        Vec::new()
    }
}

impl Choice {
    fn has(&self, place: usize) -> bool {
        self.of.iter().any(|(of, _)| *of == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    /// Choices by their places and alternatives.
    fn choices(all: &[(usize, &[usize])]) -> Choices {
        let choice = |(place, of): &(usize, &[usize])| Choice {
            place: *place,
            of: of.iter().map(|&of| (of, None)).collect(),
            is_decided: false,
        };
        Choices(all.iter().map(choice).collect())
    }

    #[test]
    fn one_ready_alternative_makes_the_others_needless() {
        let mut choices = choices(&[(9, &[0, 1, 2])]);
        assert_eq!(choices.ready(5), NONE);
        assert!(choices.is_open(9));
        assert_eq!(choices.ready(1), [0, 2]);
        assert!(!choices.is_open(9));
        assert_eq!(choices.ready(0), NONE);
    }

    #[test]
    fn an_alternative_of_two_choices_stays_until_both_are_decided() {
        let mut choices = choices(&[(8, &[0, 1]), (9, &[1, 2])]);
        assert_eq!(choices.ready(0), NONE);
        assert_eq!(choices.ready(2), [1]);
    }

    #[test]
    fn a_choice_fails_when_all_alternatives_are_given_up() {
        use GivenUp::{Hopeless, Proceeded, TimedOut};
        for (first, second, want) in [
            (Hopeless, Hopeless, Hopeless),
            (Hopeless, TimedOut, TimedOut),
            (TimedOut, Hopeless, TimedOut),
            (Proceeded, TimedOut, Proceeded),
        ] {
            let mut choices = choices(&[(9, &[0, 1])]);
            let spared = Loss { is_alternative: true, exhausted: Vec::new() };
            assert_eq!(choices.given_up(0, first), spared);
            let loss = choices.given_up(1, second);
            assert_eq!(loss.exhausted, [(9, want)], "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_decided_choice_needs_the_one_that_decided_it() {
        let mut choices = choices(&[(9, &[0, 1])]);
        choices.ready(0);
        assert_eq!(choices.given_up(0, GivenUp::TimedOut), Loss::default());
        assert_eq!(choices.given_up(7, GivenUp::TimedOut), Loss::default());
    }
}
