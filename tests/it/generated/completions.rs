//! Completions, written by hand for each shell around the facts of the registries.
//!
//! Not clap_complete's: it knows neither the schemes of a DEPENDENCY nor, in bash, the command
//! behind `--`.

use super::options;
use afterall::kinds::KINDS;
use afterall::spec::Key;
use afterall::wait::settings::{COMMON, choices};
use std::fmt::Write;

/// Text between the single quotes of zsh (and bash).
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

const HEAD: &str = "# Generated: UPDATE=1 cargo test generated\n";

/// The beginning of a dependency of each scheme, and its condition of readiness.
fn schemes() -> Vec<(String, &'static str)> {
    let of = |scheme: &str, usage: &str| {
        if usage.contains("://") { format!("{scheme}://") } else { format!("{scheme}:") }
    };
    KINDS
        .iter()
        .flat_map(|kind| {
            kind.schemes.iter().map(move |scheme| (of(scheme, kind.usage), kind.summary))
        })
        .collect()
}

/// The schemes of each kind, and the keys that its dependencies take; `=` follows a key with a
/// value.
fn keys() -> Vec<(Vec<&'static str>, String)> {
    let of = |kind: &&afterall::spec::Kind| {
        let keys = COMMON.iter().map(|common| &common.key).chain(kind.own_keys());
        let written =
            |key: &Key| format!("{}{}", key.name, if key.value.is_empty() { "" } else { "=" });
        let keys: Vec<_> = keys.map(written).collect();
        (kind.schemes.to_vec(), keys.join(" "))
    };
    KINDS.iter().map(of).collect()
}

/// The keys that take listed words, and these words.
fn key_choices() -> Vec<(&'static str, String)> {
    let names = COMMON.iter().map(|common| common.key.name);
    let all = names.map(|name| (name, choices(name).join(" ")));
    all.filter(|(_, words)| !words.is_empty()).collect()
}

pub fn bash() -> String {
    let options = options();
    let all: Vec<_> = options.iter().filter_map(|option| option.written().pop()).collect();
    let mut cases = String::new();
    for option in options.iter().filter(|option| option.value.is_some()) {
        let words = option.choices().join(" ");
        let action = match (option.is_file(), option.is_list(), words.is_empty()) {
            (true, ..) => {
                "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")"
                    .to_owned()
            }
            (_, true, _) => format!("_afterall_list '{words}'"),
            (_, _, false) => format!("mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$cur\")"),
            _ => ":".to_owned(),
        };
        let _ = writeln!(cases, "        {}) {action}; return ;;", option.written().join(" | "));
    }
    let schemes: Vec<_> = schemes().into_iter().map(|(scheme, _)| scheme).collect();
    let mut of_scheme = String::new();
    for (schemes, keys) in keys() {
        let _ = writeln!(of_scheme, "        {}) words='{keys}' ;;", schemes.join(" | "));
    }
    let mut of_key = String::new();
    for (key, words) in key_choices() {
        let _ = writeln!(of_key, "        {key}) words='{words}' ;;");
    }
    format!(
        r##"{HEAD}# shellcheck shell=bash

# Words joined by +, of which the last is completed.
_afterall_list() {{
    local before=
    [[ $cur == *+* ]] && before=${{cur%+*}}+
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "${{cur##*+}}")
    compopt -o nospace
}}

# The keys behind # and a comma, and their values. $1 is the whole dependency; $cur is its end.
_afterall_keys() {{
    local scheme=${{1%%:*}} last=${{1##*[#,]}} words='' typed
    scheme=${{scheme##*=}}
    if [[ $last == *=* ]]; then
        typed=${{last#*=}}
        case ${{last%%=*}} in
        after) words=$(_afterall_names) ;;
{of_key}        esac
        typed=${{typed##*+}}
    else
        typed=$last
        case $scheme in
{of_scheme}        esac
    fi
    mapfile -t COMPREPLY < <(compgen -P "${{cur%"$typed"}}" -W "$words" -- "$typed")
    compopt -o nospace
}}

# The names of the dependencies before the cursor.
_afterall_names() {{
    local word words
    read -ra words <<<"${{COMP_LINE:0:COMP_POINT}}"
    unset "words[-1]"
    for word in "${{words[@]}}"; do
        [[ $word != [!-]*=* || ${{word%%=*}} == *[:/#]* ]] || echo "${{word%%=*}}"
    done
}}

_afterall() {{
    local whole=${{COMP_LINE:0:COMP_POINT}}
    whole=${{whole##*[[:space:]]}}
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${{COMP_WORDS[at]}} == -- ]]; then
            # The command behind it has its own completion, which bash-completion finds.
            if declare -F _command_offset >/dev/null; then
                _command_offset $((at + 1))
            elif ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            else
                compopt -o default
            fi
            return
        fi
    done
    if [[ $whole == [!-]*:*#* ]]; then
        [[ $cur != [=:] ]] || cur=
        _afterall_keys "$whole"
        return
    fi
    # --option=value and scheme:path are three words to bash.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    elif [[ $cur == : || $prev == : ]]; then
        [[ $cur == : ]] && at=$((COMP_CWORD - 1)) cur= || at=$((COMP_CWORD - 2))
        if [[ ${{COMP_WORDS[at]}} == @(file|unix) ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        return
    fi
    case $prev in
{cases}    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{options}' -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W '{schemes}' -- "$cur")
        compopt -o nospace
    fi
}}

complete -F _afterall afterall
"##,
        options = all.join(" "),
        schemes = schemes.join(" "),
    )
}

/// Text between single quotes, in a place where zsh reads brackets and colons.
fn for_arguments(text: &str) -> String {
    text.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

pub fn zsh() -> String {
    let mut arguments = String::new();
    for option in options() {
        let names = option.written();
        let (open, names) = match names.as_slice() {
            [short, long] => (format!("({short} {long})"), format!("'{{{short},{long}}}'")),
            _ => (String::new(), names[0].clone()),
        };
        // A long option takes its value as a word of its own or behind a =.
        let equals = if option.value.is_some() { "=" } else { "" };
        let names = match option.short {
            Some(short) if option.value.is_some() => format!("'{{-{short}+,--{}=}}'", option.long),
            Some(_) => names,
            None => format!("{names}{equals}"),
        };
        let help = quoted(&for_arguments(option.brief()));
        let value = option.value.as_ref().map(|value| {
            let words = option.choices().join(" ");
            let action = match (option.is_file(), option.is_list(), words.is_empty()) {
                (true, ..) => "_files".to_owned(),
                (_, true, _) => format!("_values -s + class {words}"),
                (_, _, false) => format!("({words})"),
                _ => " ".to_owned(),
            };
            format!(":{}:{action}", value.to_lowercase())
        });
        let _ =
            writeln!(arguments, "        '{open}{names}[{help}]{}' \\", value.unwrap_or_default());
    }
    let mut described = String::new();
    for (scheme, summary) in schemes() {
        let _ = writeln!(described, "        '{}:{}'", scheme.replace(':', "\\:"), quoted(summary));
    }
    let mut of_scheme = String::new();
    for (schemes, keys) in keys() {
        let _ = writeln!(of_scheme, "        ({}) found=({keys}) ;;", schemes.join("|"));
    }
    let mut of_key = String::new();
    for (key, words) in key_choices() {
        let _ = writeln!(of_key, "        ({key}) found=({words}) ;;");
    }
    format!(
        r##"#compdef afterall
{HEAD}
_afterall_dependency() {{
    local -a schemes=(
{described}    )
    # NAME= may precede the scheme.
    [[ $PREFIX == *=* && ${{PREFIX%%=*}} != *[:/#]* ]] && compset -P 1 '*='
    if [[ $PREFIX == *:*\#* ]]; then
        _afterall_keys ${{PREFIX%%:*}}
    elif [[ $PREFIX == (file|unix):* ]]; then
        compset -P 1 '*:'
        _files
    else
        _describe -V dependency schemes -S ''
    fi
}}

# The keys behind # and a comma, and their values. $1 is the scheme.
_afterall_keys() {{
    local -a found
    local word
    compset -P '*[#,]'
    if [[ $PREFIX == *=* ]]; then
        case ${{PREFIX%%=*}} in
        (after)
            for word in ${{words[1,CURRENT - 1]}}; do
                [[ $word == [^-]*=* && ${{word%%=*}} != *[:/#]* ]] && found+=(${{word%%=*}})
            done
            ;;
{of_key}        esac
        compset -P '*[=+]'
    else
        case $1 in
{of_scheme}        esac
    fi
    compadd -S '' -a found
}}

_afterall() {{
    # Behind the first -- stands a command with its own completion.
    local -i at=${{words[(i)--]}}
    if (( at < CURRENT )); then
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    _arguments -s \
{arguments}        '*: :_afterall_dependency'
}}

_afterall "$@"
"##
    )
}

fn for_fish(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

pub fn fish() -> String {
    let mut out = format!(
        r##"{HEAD}
# Behind the first -- stands a command with its own completion.
function __afterall_behind
    contains -- -- (commandline -opc)
end

function __afterall_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l before $words[(math $at + 1)..-1]
    test (count $words) -gt $at; or set before
    complete -C (string join -- ' ' (string escape -- $before) (commandline -ct))
end

function __afterall_list
    set -l value (commandline -ct | string replace -r '^--[^=]*=' '')
    set -l before (string replace -r '[^+]*$' '' -- $value)
    printf '%s\n' $before$argv
end

# The last word up to what is completed, before each argument.
function __afterall_words
    set -l before (string match -r "^.*[$argv[1]]" -- (commandline -ct))
    printf '%s\n' $before$argv[2..-1]
end

# The names of the dependencies before the cursor.
function __afterall_names
    commandline -opc | string match -rg '^([^-:/#=][^:/#=]*)='
end

# Whether the word matches, and is before the command.
function __afterall_is
    not __afterall_behind; and string match -qr -- $argv[1] (commandline -ct)
end

complete -c afterall -f
complete -c afterall -n __afterall_behind -a '(__afterall_command)'
"##
    );
    for option in options() {
        let short = option.short.map(|short| format!(" -s {short}")).unwrap_or_default();
        let words = option.choices().join(" ");
        let value =
            match (option.value.is_some(), option.is_file(), option.is_list(), words.is_empty()) {
                (false, ..) => String::new(),
                (_, true, ..) => " -r -F".to_owned(),
                (_, _, true, _) => format!(" -x -a '(__afterall_list {words})'"),
                (_, _, _, false) => format!(" -x -a '{words}'"),
                _ => " -x".to_owned(),
            };
        let long =
            if option.long.is_empty() { String::new() } else { format!(" -l {}", option.long) };
        let _ = writeln!(
            out,
            "complete -c afterall -n 'not __afterall_behind'{short}{long}{value} -d '{}'",
            for_fish(option.brief())
        );
    }
    for (scheme, summary) in schemes() {
        let _ = writeln!(
            out,
            "complete -c afterall -n 'not __afterall_behind' -a '{scheme}' -d '{}'",
            for_fish(summary)
        );
    }
    let named: Vec<_> = schemes().into_iter().map(|(scheme, _)| scheme).collect();
    let mut words = |pattern: &str, words: &str| {
        let _ =
            writeln!(out, "complete -c afterall -n '__afterall_is \"{pattern}\"' -a '({words})'");
    };
    words("^[^-:/#=][^:/#=]*=[^:/#=]*\\$", &format!("__afterall_words = {}", named.join(" ")));
    let path = concat!(
        r#"set -l kind (string match -r "^[^:]+:" -- (commandline -ct)); "#,
        r#"and printf "%s\n" $kind(__fish_complete_path "#,
        r#"(string replace -r "^[^:]+:" "" -- (commandline -ct)))"#,
    );
    words("^([^:/#=]+=)?(file|unix):[^#]*\\$", path);
    for (schemes, keys) in keys() {
        let schemes = schemes.join("|").replace('+', "[+]");
        words(
            &format!("^([^:/#=]+=)?({schemes}):.*#(.*,)?[^=,]*\\$"),
            &format!("__afterall_words \"#,\" {keys}"),
        );
    }
    for (key, choices) in key_choices() {
        words(&format!("#(.*,)?{key}=[^,]*\\$"), &format!("__afterall_words =+ {choices}"));
    }
    words("#(.*,)?after=[^,]*\\$", "__afterall_words =+ (__afterall_names)");
    out
}
