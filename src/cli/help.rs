//! `-h` and `--help`. Built from the registries, and only when it is asked for.

use std::fmt::Write;

use crate::{
    cli::{
        args::{Definition, Opt, definitions},
        from_env::VARIABLES,
        options::VARIABLE,
    },
    exit,
    kinds::KINDS,
    spec::Key,
    tls,
    wait::settings::COMMON,
};

/// The widest line, in columns.
const WIDTH: usize = 100;

const USAGE: &str = "\
Waits until a service's dependencies are really ready, then becomes the service.

Usage: afterall [OPTIONS] [[NAME=]URL[#KEY=VALUE,...]]... [-- COMMAND [ARG]...]

Examples:
  afterall db:5432 -- myservice                             a port, then the service
  afterall 'postgres://app@db/app#timeout=5m' -- myservice  a login
  afterall db=env:DATABASE_URL api=https://api/ready        no command: exits 0 when both are ready
  afterall 'migrations+env:DATABASE_URL#dir=/app/migrations' -- myservice
  afterall --from-env -- myservice                          what DATABASE_URL, NATS_URL ... name
  afterall --once nats://nats:4222                          looks once
";

/// The version, as `--version` prints it.
pub(super) fn version() -> String {
    concat!("afterall ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

/// The help that fits a screen: usage, examples, and the options that one meets first.
pub(super) fn short() -> String {
    let mut out = USAGE.to_owned();
    out += "\nOptions:\n";
    options(&mut out, |definition| definition.is_brief);
    let _ = writeln!(
        out,
        "\nA literal # splits off keys, so quote it. Variables: {VARIABLE}, AFTERALL_TIMEOUT, ..."
    );
    out += "Everything else: afterall --help, man afterall\n";
    out
}

/// Everything.
pub(super) fn long() -> String {
    let mut out = USAGE.to_owned();
    out += "\nOptions (each but -h, --help, --version, --print-plan and --from-env is also a \
        variable):\n";
    options(&mut out, |_| true);
    out += "\nKinds (the URL is the one that the application itself uses), and their keys behind \
        the #:\n";
    for kind in KINDS {
        for usage in kind.usage.split(", ") {
            let _ = writeln!(out, "  {usage}");
        }
        wrap(&mut out, 6, 6, &format!("ready when: {}", kind.summary));
        kind.own_keys().filter(|key| !is_tls(key)).for_each(|key| describe(&mut out, key));
        if kind.own_keys().any(is_tls) {
            out += "      and the keys of TLS\n";
        }
    }
    out += "\nKeys of TLS:\n";
    tls::KEYS.iter().for_each(|key| describe(&mut out, key));
    out += "\nKeys of every kind; each but `after` is also an option:\n";
    COMMON.iter().for_each(|common| describe(&mut out, &common.key));
    out += "\n";
    for paragraph in [
        "In a declaration, ${VAR}, ${VAR:-default} and ${file:PATH} are expanded, and env:NAME \
        stands for ${NAME}.",
        &format!("Where no dependency is given, {VARIABLE} is read: declarations as shell words."),
        &format!("--from-env reads {}.", VARIABLES.join(", ")),
    ] {
        wrap(&mut out, 0, 0, paragraph);
    }
    out += "\nExit codes:\n";
    for (codes, meaning) in exit::TABLE {
        let _ = write!(out, "  {codes:<10}");
        wrap(&mut out, 0, 12, meaning);
    }
    out
}

fn options(out: &mut String, is_shown: impl Fn(&Definition) -> bool) {
    const COLUMN: usize = 36;
    for definition in definitions().filter(is_shown) {
        let short = definition.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = if definition.takes_value() {
            format!(" <{}>", definition.value)
        } else {
            String::new()
        };
        let name = match definition.opt {
            Opt::ShortHelp => "-h".to_owned(),
            _ => format!("{short}--{}{value}", definition.name),
        };
        let _ = write!(out, "  {name:<0$}", COLUMN - 2);
        let default = definition.default();
        let default = if default.is_empty() { default } else { format!(" [default: {default}]") };
        wrap(out, 0, COLUMN, &format!("{}{default}", definition.help));
    }
}

fn is_tls(key: &Key) -> bool {
    tls::KEYS.iter().any(|known| (known.name, known.help) == (key.name, key.help))
}

fn describe(out: &mut String, key: &Key) {
    let equals = if key.value.is_empty() { "" } else { "=" };
    wrap(out, 6, 10, &format!("{}{equals}{}: {}", key.name, key.value, key.help));
}

/// Writes `text` in lines of at most [`WIDTH`] columns: the first is indented by `first`, the
/// others by `rest`.
fn wrap(out: &mut String, first: usize, rest: usize, text: &str) {
    // The text already on the line counts.
    let begun = out.len() - out.rfind('\n').map_or(0, |end| end + 1);
    let mut column = begun + first;
    out.push_str(&" ".repeat(first));
    for (n, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if n > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(rest));
            column = rest;
        } else if n > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}
