//! The login of a target: startup packet, credentials, and the accepted ways of authentication.

use crate::{
    kinds::{
        postgres::{
            classify::Phase,
            dsn::Params,
            parameters::label,
            values::choice,
            wire::{PROTOCOL_3_0, PROTOCOL_3_2},
        },
        scram,
    },
    secret::Secret,
};

/// The credentials of a login.
#[derive(Clone)]
pub(in crate::kinds::postgres) enum Credentials {
    /// A password.
    Password(Secret),
    /// libpq's scram_client_key and scram_server_key.
    ScramKeys(scram::Keys),
}

/// The versions of the protocol that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kinds::postgres) struct Protocol {
    /// The version in the startup packet.
    pub(in crate::kinds::postgres) asked: u32,
    /// The lowest version that the server may negotiate.
    pub(in crate::kinds::postgres) least: u32,
}

impl Protocol {
    fn read(params: &Params) -> Result<Self, String> {
        const WORDS: [(&str, u32); 3] =
            [("3.0", PROTOCOL_3_0), ("3.2", PROTOCOL_3_2), ("latest", PROTOCOL_3_2)];
        let (least, most) = ("min_protocol_version", "max_protocol_version");
        let min = choice(params, least, &WORDS)?.unwrap_or(PROTOCOL_3_0);
        // As in libpq: 3.0 unless the user asks for more, because some poolers do not negotiate.
        let max = choice(params, most, &WORDS)?.unwrap_or(min);
        if min > max {
            Err(format!("{}: must not be above {most}", label(least)))
        } else {
            Ok(Self { asked: max, least: min })
        }
    }
}

/// libpq's `channel_binding`: a login then proves that both ends share one TLS connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kinds::postgres) enum Bind {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl Bind {
    const WORDS: [(&str, Bind); 3] =
        [("disable", Bind::Disable), ("prefer", Bind::Prefer), ("require", Bind::Require)];
}

/// The contents of the startup packet, and the statements that may follow it.
pub(in crate::kinds::postgres) struct Login {
    pub(in crate::kinds::postgres) user: String,
    pub(in crate::kinds::postgres) database: String,
    pub(in crate::kinds::postgres) application_name: String,
    pub(in crate::kinds::postgres) options: Option<String>,
    pub(in crate::kinds::postgres) search_path: Option<String>,
    /// Set in the transaction of a question, for drivers that set it after the login.
    pub(in crate::kinds::postgres) session_search_path: Option<String>,
    /// `None` means UTF-8: names and messages are then readable whatever the database's encoding.
    pub(in crate::kinds::postgres) client_encoding: Option<String>,
    pub(in crate::kinds::postgres) protocol: Protocol,
    pub(in crate::kinds::postgres) bind: Bind,
    pub(in crate::kinds::postgres) require_auth: RequireAuth,
    /// The reason why the password file held no password.
    pub(in crate::kinds::postgres) passfile_note: Option<String>,
}

impl Login {
    /// Reads the parameters of the startup packet.
    ///
    /// # Errors
    /// The parameter that is wrong. Its value is not shown.
    pub(super) fn read(params: &Params, user: String, database: String) -> Result<Self, String> {
        let own = |keyword: &str| params.get(keyword).map(str::to_owned);
        let application_name = own("application_name")
            .or_else(|| own("fallback_application_name"))
            .unwrap_or_else(|| "afterall".to_owned());
        if [&user, &database, &application_name].iter().any(|text| text.contains('\0')) {
            return Err("a NUL in the user, the database or the application name".to_owned());
        }
        let require_auth = params.get("require_auth").map(RequireAuth::read).transpose()?;
        Ok(Self {
            options: own("options"),
            search_path: own("search_path"),
            session_search_path: own("session_search_path"),
            client_encoding: own("client_encoding").filter(|encoding| encoding != "auto"),
            protocol: Protocol::read(params)?,
            bind: choice(params, "channel_binding", &Bind::WORDS)?.unwrap_or_default(),
            require_auth: require_auth.unwrap_or_default(),
            passfile_note: None,
            application_name,
            user,
            database,
        })
    }

    /// Statements that make a transaction see what the application's own sessions see.
    pub(in crate::kinds::postgres) fn session_setup(&self) -> Vec<String> {
        let path = self.session_search_path.as_ref().map(|path| {
            let literal = path.replace('\'', "''").replace('\\', "\\\\");
            format!("SELECT pg_catalog.set_config('search_path', E'{literal}', true)")
        });
        let encoding = self.client_encoding.as_ref();
        let encoding = encoding.map(|_| "SET LOCAL client_encoding = 'UTF8'".to_owned());
        encoding.into_iter().chain(path).collect()
    }

    /// The phase of a refusal of this login. It records if our own options may be the cause.
    pub(in crate::kinds::postgres) fn phase(&self) -> Phase {
        let own = [&self.options, &self.search_path, &self.client_encoding];
        if own.iter().any(|option| option.is_some()) {
            Phase::LoginWithOptions
        } else {
            Phase::Login
        }
    }
}

/// libpq's `require_auth`: the ways of authentication that we take part in; empty means all.
#[derive(Default)]
pub(in crate::kinds::postgres) struct RequireAuth {
    methods: Vec<String>,
    negated: bool,
}

impl RequireAuth {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        const METHODS: [&str; 7] =
            ["password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"];
        let methods: Vec<_> = text.split(',').map(str::trim).collect();
        let negated = methods.iter().all(|method| method.starts_with('!'));
        let methods: Vec<_> = methods
            .iter()
            .map(|method| if negated { &method[1..] } else { method })
            .map(str::to_owned)
            .collect();
        if methods.iter().all(|method| METHODS.contains(&method.as_str())) {
            Ok(Self { methods, negated })
        } else {
            Err(format!(
                "{}: must list some of {}, either all with a ! or none",
                label("require_auth"),
                METHODS.join(", ")
            ))
        }
    }

    pub(in crate::kinds::postgres) fn allows(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|name| name == method) != self.negated
    }
}
