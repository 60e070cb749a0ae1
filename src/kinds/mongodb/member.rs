//! The reply to `hello`: the kind of the server, and the check that the server is a wanted one.
//!
//! Source: the drivers' specification "Server Discovery And Monitoring".

use super::bson::{Document, Value};
use crate::{
    probe::{Class, Failure},
    text::one_line,
};

/// The most members that are read; a replica set has at most 50.
const MAX_MEMBERS: usize = 50;
/// The most mechanisms and tags that are read.
const MAX_LISTED: usize = 100;

/// The reply of a server to `hello`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) kind: Kind,
    /// The name of its replica set.
    pub(super) set: Option<String>,
    /// Its own address, as the other members know it.
    pub(super) me: Option<String>,
    /// The address of the primary, as far as it knows one.
    pub(super) primary: Option<String>,
    /// The addresses of the members that hold data.
    pub(super) hosts: Vec<String>,
    tags: Vec<(String, String)>,
    /// The mechanisms by which the user can log in.
    pub(super) mechanisms: Vec<String>,
    /// The service behind a load balancer.
    pub(super) has_service: bool,
}

/// The kind of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Standalone,
    Mongos,
    Primary,
    Secondary,
    Arbiter,
    /// A member of a replica set that is not initiated.
    Ghost,
    /// A secondary that drivers use with a direct connection only.
    Hidden,
    /// Starting, recovering or rolling back.
    #[default]
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Standalone => "a standalone server",
            Kind::Mongos => "a mongos",
            Kind::Primary => "the primary",
            Kind::Secondary => "a secondary",
            Kind::Arbiter => "an arbiter",
            Kind::Ghost => "a server without a replica set",
            Kind::Hidden => "a hidden member",
            Kind::Other => "a member that is starting or recovering",
        }
    }
}

impl Hello {
    pub(super) fn read(reply: Document<'_>) -> Self {
        let set = reply.text("setName").map(str::to_owned);
        let writable = reply.is_true("isWritablePrimary") || reply.is_true("ismaster");
        let kind = if reply.text("msg") == Some("isdbgrid") {
            Kind::Mongos
        } else if reply.is_true("isreplicaset") {
            Kind::Ghost
        } else if !reply.has("setName") {
            Kind::Standalone
        } else if reply.is_true("hidden") {
            if reply.is_true("secondary") { Kind::Hidden } else { Kind::Other }
        } else if writable {
            Kind::Primary
        } else if reply.is_true("secondary") {
            Kind::Secondary
        } else if reply.is_true("arbiterOnly") {
            Kind::Arbiter
        } else {
            Kind::Other
        };
        let mut hosts = reply.texts("hosts", MAX_MEMBERS);
        hosts.extend(reply.texts("passives", MAX_MEMBERS));
        let tags = reply.inner("tags").elements().filter_map(|(name, value)| match value {
            Value::Text(text) => Some((name.to_owned(), text.to_owned())),
            _ => None,
        });
        Self {
            kind,
            set,
            me: reply.text("me").map(str::to_owned),
            primary: reply.text("primary").map(str::to_owned),
            hosts,
            tags: tags.take(MAX_LISTED).collect(),
            mechanisms: reply.texts("saslSupportedMechs", MAX_LISTED),
            has_service: reply.has("serviceId"),
        }
    }

    /// Returns the kind and the set for messages, e.g. `the primary of rs0`.
    pub(super) fn shown(&self) -> String {
        match &self.set {
            Some(set) => format!("{} of {}", self.kind.name(), one_line(set, 60)),
            None => self.kind.name().to_owned(),
        }
    }

    /// Returns the address that drivers use instead of the asked one, if there is one.
    ///
    /// A primary's list of members decides, and any other server's own address does.
    pub(super) fn other_address(&self, asked: &str) -> Option<&str> {
        let is_listed = self.hosts.iter().any(|host| host.eq_ignore_ascii_case(asked));
        let me = self.me.as_deref().filter(|me| !me.eq_ignore_ascii_case(asked));
        me.filter(|_| self.set.is_some() && !(is_listed && self.kind == Kind::Primary))
    }

    /// Returns the members that may have the wanted role, the likeliest first. A server may not
    /// know the primary that another one knows.
    pub(super) fn candidates(&self) -> Vec<&str> {
        let all = self.primary.iter().chain(&self.hosts).map(String::as_str);
        let mut candidates: Vec<&str> = Vec::new();
        for host in all {
            if !candidates.contains(&host) {
                candidates.push(host);
            }
        }
        candidates
    }
}

/// The wanted kind of server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) role: Role,
    /// The name of the replica set.
    pub(super) set: Option<String>,
    /// Sets of tags, of which one must fit; empty: any.
    pub(super) tags: Vec<Vec<(String, String)>>,
    /// Only the declared server counts, whatever its part in a replica set.
    pub(super) direct: bool,
    /// A load balancer is asked.
    pub(super) balanced: bool,
    /// The key `role` names the part: a standalone server has none.
    pub(super) strict: bool,
    /// Several servers are declared, so a standalone server is wrong.
    pub(super) several: bool,
}

/// The part in a replica set, as `readPreference` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Primary,
    Secondary,
    /// Either; a primary needs no tags.
    Preferred,
    /// Either.
    Any,
}

impl Wanted {
    /// Checks that the server is one of those that are wanted.
    pub(super) fn check(&self, hello: &Hello) -> Result<(), Failure> {
        if self.balanced {
            return if hello.has_service {
                Ok(())
            } else {
                Err(Failure::new(
                    Class::Absent,
                    "loadBalanced=true, and no load balancer's service answers",
                ))
            };
        }
        let shown = hello.shown();
        if hello.kind == Kind::Ghost {
            return Err(Failure::new(Class::Absent, "the replica set is not initiated yet")
                .hint("rs.initiate() makes the replica set"));
        }
        if let Some(set) = self.set.as_ref().filter(|set| hello.set.as_ref() != Some(set)) {
            let message = format!("{shown}, and replicaSet={} wants another", one_line(set, 60));
            return Err(Failure::new(Class::Absent, message));
        }
        let of_role = match (hello.kind, self.role) {
            (Kind::Mongos, _) => return Ok(()),
            (Kind::Standalone, _) if self.several => false,
            (Kind::Standalone, Role::Secondary) => !self.strict,
            (Kind::Standalone, _) => return Ok(()),
            (Kind::Hidden, role) => self.direct && role != Role::Primary,
            // Drivers fall back on the primary, whatever its tags.
            (Kind::Primary, Role::Preferred) => return Ok(()),
            (Kind::Primary, Role::Primary | Role::Any)
            | (Kind::Secondary, Role::Secondary | Role::Preferred | Role::Any) => true,
            _ => false,
        };
        let has_tags =
            |wanted: &Vec<(String, String)>| wanted.iter().all(|tag| hello.tags.contains(tag));
        let is_tagged = self.tags.is_empty() || self.tags.iter().any(has_tags);
        match (of_role, is_tagged, hello.kind) {
            (true, _, Kind::Standalone) | (true, true, _) => Ok(()),
            (false, _, Kind::Standalone) if self.several => {
                let message = format!("{shown}, and drivers skip it in a list of several servers");
                Err(Failure::new(Class::Absent, message))
            }
            (true, false, _) => {
                Err(Failure::new(Class::Absent, format!("{shown}, without the wanted tags")))
            }
            (false, _, Kind::Standalone) => {
                Err(Failure::new(Class::Absent, format!("{shown}, and a secondary is wanted")))
            }
            (false, _, Kind::Primary) => {
                Err(Failure::new(Class::Busy, format!("{shown}, and a secondary is wanted")))
            }
            (false, _, Kind::Secondary) if hello.primary.is_some() => {
                Err(Failure::new(Class::Busy, format!("{shown}, and the primary is wanted")))
            }
            (false, _, Kind::Secondary) => {
                Err(Failure::new(Class::Busy, format!("{shown}, which knows no primary")))
            }
            _ => Err(Failure::new(Class::Busy, shown)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::bson::Builder, *};

    fn hello(fields: Builder) -> Hello {
        Hello::read(Document::read(&fields.i32("ok", 1).finish()).unwrap())
    }

    fn member(state: &str) -> Hello {
        let fields = Builder::default().text("setName", "rs").text("me", "a:1");
        let hosts = Builder::default().text("0", "a:1").text("1", "b:1");
        let tags = Builder::default().text("dc", "ny");
        let fields = fields.document("hosts", hosts).document("tags", tags);
        let fields = match state {
            "" => fields,
            "knows" => fields.bool("secondary", true).text("primary", "b:1"),
            state => fields.bool(state, true),
        };
        hello(fields)
    }

    #[test]
    fn a_server_must_be_what_the_read_preference_wants() {
        let alone = hello(Builder::default().bool("ismaster", true));
        let mongos =
            hello(Builder::default().bool("isWritablePrimary", true).text("msg", "isdbgrid"));
        let ghost = hello(Builder::default().bool("isreplicaset", true).bool("secondary", false));
        let primary = member("isWritablePrimary");
        let secondary = member("secondary");
        let hidden = {
            let fields = Builder::default().text("setName", "rs").bool("hidden", true);
            hello(fields.bool("secondary", true))
        };
        let (first, second, any) = (Role::Primary, Role::Secondary, Role::Any);
        for (hello, role, want) in [
            (&alone, first, ""),
            (&alone, any, ""),
            (&alone, second, ""),
            (&mongos, second, ""),
            (&ghost, any, "absent: the replica set is not initiated yet"),
            (&primary, first, ""),
            (&primary, any, ""),
            (&primary, second, "busy: the primary of rs, and a secondary is wanted"),
            (&secondary, second, ""),
            (&secondary, any, ""),
            (&secondary, first, "busy: a secondary of rs, which knows no primary"),
            (&member("knows"), first, "busy: a secondary of rs, and the primary is wanted"),
            (&member("arbiterOnly"), any, "busy: an arbiter of rs"),
            (&member(""), any, "busy: a member that is starting or recovering of rs"),
            (&hidden, any, "busy: a hidden member of rs"),
        ] {
            let wanted = Wanted { role, ..Wanted::default() };
            let got = wanted.check(hello).err();
            let got = got.map(|failure| format!("{}: {}", failure.class, failure.message));
            assert_eq!(got.unwrap_or_default(), want);
        }
    }

    #[test]
    fn name_tags_and_balancer_must_fit() {
        let set = |set: &str| Wanted { set: Some(set.to_owned()), ..Wanted::default() };
        let tags = |value: &str| Wanted {
            role: Role::Any,
            tags: vec![vec![("dc".to_owned(), value.to_owned())]],
            ..Wanted::default()
        };
        let primary = member("isWritablePrimary");
        assert!(set("rs").check(&primary).is_ok() && tags("ny").check(&primary).is_ok());
        let preferred = Wanted { role: Role::Preferred, ..tags("la") };
        assert!(preferred.check(&primary).is_ok());
        assert_eq!(preferred.check(&member("secondary")).unwrap_err().class, Class::Absent);
        for wanted in [set("other"), tags("la"), Wanted { balanced: true, ..Wanted::default() }] {
            assert_eq!(wanted.check(&primary).unwrap_err().class, Class::Absent);
        }
        let alone = hello(Builder::default().bool("ismaster", true));
        assert!(set("rs").check(&alone).is_err());
        let strict = Wanted { role: Role::Secondary, strict: true, ..Wanted::default() };
        for wanted in [strict, Wanted { several: true, ..Wanted::default() }] {
            assert_eq!(wanted.check(&alone).unwrap_err().class, Class::Absent);
        }
    }

    #[test]
    fn a_member_is_known_by_its_own_address() {
        let primary = member("isWritablePrimary");
        assert_eq!(primary.other_address("A:1"), None);
        assert_eq!(primary.other_address("b:1"), None);
        assert_eq!(primary.other_address("db.example:27017"), Some("a:1"));
        let secondary = member("secondary");
        assert_eq!(secondary.other_address("a:1"), None);
        assert_eq!(secondary.other_address("b:1"), Some("a:1"), "drivers drop that address");
        assert_eq!(member("knows").candidates(), ["b:1", "a:1"]);
    }
}
