//! The manual page: the prose of `man/afterall.1.in`, with facts of the registries in place of its
//! `@NAME@` lines.

use super::{options, root};
use afterall::cli::args::definitions;
use afterall::kinds::KINDS;
use afterall::wait::settings::COMMON;
use afterall::wait::settings::common as common_key;
use afterall::{exit, tls};
use afterall::{probe::Class, spec::Key};
use std::fmt::Write;
use std::fs;

pub fn page() -> String {
    let prose = fs::read_to_string(root().join("man/afterall.1.in")).unwrap();
    // The first two lines speak of the template.
    let prose = prose.splitn(3, '\n').nth(2).unwrap();
    let page = prose
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@KINDS@", &kinds())
        .replace("@COMMON@", &common())
        .replace("@CLASSES@", &classes())
        .replace("@PARAMETERS@", &parameters())
        .replace("@OPTIONS@", &arguments())
        .replace("@FILE_OPTIONS@", &file_options())
        .replace("@EXIT@", &exit_status())
        .replace("@FROM_ENV@", &from_env())
        .replace("@ENVIRONMENT@", &environment());
    format!(
        ".\\\" Generated from afterall.1.in and the source: UPDATE=1 cargo test generated\n{page}"
    )
}

/// libpq's parameters that are not simply honoured, each with the reason.
#[cfg(feature = "postgres")]
fn parameters() -> String {
    use afterall::kinds::postgres::parameters::{PARAMETERS, Treatment};
    let mut out = String::new();
    let names = PARAMETERS.iter().filter(|p| matches!(p.treatment, Treatment::Honoured));
    let names: Vec<_> = names.map(|p| literal(p.name)).collect();
    let _ = writeln!(out, "Honoured as by libpq: {}.", names.join(", "));
    for p in PARAMETERS {
        let text = match &p.treatment {
            Treatment::Honoured => continue,
            Treatment::Only(words, why) => {
                format!("must be one of `{}`: {why}", words.join("`, `"))
            }
            Treatment::NoEffect(_, why) => format!("accepted and without effect: {why}"),
        };
        item(&mut out, &format!("\\fB{}\\fR", literal(p.name)), &sentence(&text));
    }
    out.trim_end().to_owned()
}

/// The parameters belong to the code of `postgres:`.
#[cfg(not(feature = "postgres"))]
fn parameters() -> String {
    "This build leaves out PostgreSQL.".to_owned()
}

/// Returns text that roff prints literally.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Returns text for roff, with text between backticks in bold.
fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let text: String = parts
        .map(
            |(n, part)| {
                if n % 2 == 1 { format!("\\fB{}\\fR", literal(part)) } else { literal(part) }
            },
        )
        .collect();
    if text.ends_with('.') || text.is_empty() { text } else { format!("{text}.") }
}

/// A tagged paragraph.
fn item(out: &mut String, tag: &str, text: &str) {
    let _ = writeln!(out, ".TP\n{tag}\n{text}");
}

fn key(out: &mut String, key: &Key, more: &str) {
    let value = if key.value.is_empty() {
        String::new()
    } else {
        format!("=\\fI{}\\fR", literal(key.value))
    };
    item(
        out,
        &format!("\\fB{}\\fR{value}", literal(key.name)),
        &format!("{}{more}", sentence(&capital(key.help))),
    );
}

fn kinds() -> String {
    let mut out = String::new();
    for kind in KINDS {
        let schemes: Vec<_> = kind.schemes.iter().map(|scheme| format!("{scheme}:")).collect();
        let _ = writeln!(out, ".SS {}", literal(&schemes.join(" ")));
        let forms: Vec<_> =
            kind.usage.split(", ").map(|form| format!(".B {}\n", literal(form))).collect();
        let _ = writeln!(out, "{}.PP", forms.join(".br\n"));
        let _ = writeln!(out, "Ready when: {}", sentence(kind.summary));
        kind.keys
            .iter()
            .filter(|keys| !is_tls(keys))
            .copied()
            .flatten()
            .for_each(|own| key(&mut out, own, ""));
        if kind.keys.iter().any(|keys| is_tls(keys)) {
            let _ = writeln!(out, ".PP\nAnd the TLS keys.");
        }
    }
    let _ = writeln!(out, ".SS TLS keys\nThe same for every kind that speaks TLS.");
    tls::KEYS.iter().for_each(|tls| key(&mut out, tls, ""));
    out.trim_end().to_owned()
}

fn is_tls(keys: &[Key]) -> bool {
    keys.iter().map(|key| (key.name, key.help)).eq(tls::KEYS.iter().map(|key| (key.name, key.help)))
}

fn common() -> String {
    let mut out = String::new();
    for common in COMMON {
        let default = common.default();
        let default =
            if default.is_empty() { default } else { format!("\nDefault: {}.", literal(&default)) };
        key(&mut out, &common.key, &default);
    }
    out.trim_end().to_owned()
}

fn classes() -> String {
    let mut out = String::new();
    for class in Class::ALL {
        item(&mut out, &format!(".B {}", class.name()), &sentence(meaning(class)));
    }
    out.trim_end().to_owned()
}

fn meaning(class: Class) -> &'static str {
    match class {
        Class::Local => "A limit of this process or machine",
        Class::Dns => "The name does not resolve",
        Class::Connect => "Refused, unreachable, reset, or closed before a byte",
        Class::Timeout => "The attempt's own bound",
        Class::Tls => "The handshake was refused, or the certificate is not trusted",
        Class::Auth => {
            "Credentials were refused, or a right is missing; it may be about to be granted"
        }
        Class::Busy => "The server answers, and says that it cannot serve now",
        Class::Absent => "The server serves, but what is asked for is not there",
        Class::Failed => "A wanted migration is recorded as failed, and no migrator is at work",
        Class::Protocol => "Garbage, or another protocol",
        Class::Config => "Wrong on this side; always ends the wait at once",
    }
}

fn arguments() -> String {
    let mut out = String::new();
    for option in options() {
        let value = option
            .value
            .as_ref()
            .map(|value| format!(" \\fI{}\\fR", literal(value)))
            .unwrap_or_default();
        let names = option.written();
        let names: Vec<_> = names.iter().map(|name| format!("\\fB{}\\fR", literal(name))).collect();
        let names = names.join(", ");
        item(&mut out, &format!("{names}{value}"), &sentence(&capital(&option.help)));
    }
    out.trim_end().to_owned()
}

/// The beginning of a sentence.
fn capital(text: &str) -> String {
    // A word that is a value keeps its letters.
    let first = text.split([' ', ',']).next().unwrap_or_default();
    match text.chars().next() {
        Some(c) if !["fail", "ready"].contains(&first) && !first.contains(':') => {
            c.to_uppercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

/// The rest of a sentence: `deadline, format`, each bold.
fn file_options() -> String {
    let in_file =
        definitions().filter(|known| known.is_in_file() && common_key(known.name).is_none());
    let names: Vec<_> = in_file.map(|known| format!("\\fB{}\\fR", literal(known.name))).collect();
    names.join(", ")
}

/// The rest of a sentence: the variables that `--from-env` reads.
fn from_env() -> String {
    afterall::cli::from_env::VARIABLES.map(literal).join(", ")
}

fn exit_status() -> String {
    let mut out = String::new();
    exit::TABLE.iter().for_each(|(codes, meaning)| {
        item(&mut out, &format!(".B {}", literal(codes)), &sentence(&capital(meaning)))
    });
    out.trim_end().to_owned()
}

fn environment() -> String {
    let variables: Vec<_> = options()
        .into_iter()
        .filter_map(|option| option.variable)
        .map(|name| format!("\\%{name}"))
        .collect();
    let mut out = String::new();
    item(
        &mut out,
        &format!(".B {}", variables.join(", ")),
        "The options of the same names. A flag is true, yes, on or 1, or false, no, off or 0, in \
        upper or lower case; an empty value is none, and anything else is an error.",
    );
    out.trim_end().to_owned()
}
