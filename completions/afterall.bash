# Generated: UPDATE=1 cargo test generated
# shellcheck shell=bash

# Words joined by +, of which the last is completed.
_afterall_list() {
    local before=
    [[ $cur == *+* ]] && before=${cur%+*}+
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "${cur##*+}")
    compopt -o nospace
}

_afterall() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
            # Behind it stands a command with its own completion, where bash-completion is there to find it.
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
    # --option=value and scheme:path are three words to bash.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == : || $prev == : ]]; then
        [[ $cur == : ]] && at=$((COMP_CWORD - 1)) cur= || at=$((COMP_CWORD - 2))
        if [[ ${COMP_WORDS[at]} == @(file|unix) ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        return
    fi
    case $prev in
        -t | --timeout) :; return ;;
        --attempt-timeout) :; return ;;
        --interval) :; return ;;
        --max-interval) :; return ;;
        --backoff) mapfile -t COMPREPLY < <(compgen -W 'adaptive linear exponential constant' -- "$cur"); return ;;
        --jitter) :; return ;;
        --successes) :; return ;;
        --on-timeout) mapfile -t COMPREPLY < <(compgen -W 'fail proceed' -- "$cur"); return ;;
        --fail-fast) _afterall_list 'dns connect timeout tls auth busy absent failed protocol config'; return ;;
        --until) mapfile -t COMPREPLY < <(compgen -W 'ready down' -- "$cur"); return ;;
        --deadline) :; return ;;
        -c | --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W 'auto live plain json' -- "$cur"); return ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--timeout --attempt-timeout --interval --max-interval --backoff --jitter --successes --on-timeout --fail-fast --until --deadline --once --config --from-env --print-plan --allow-empty --format --quiet --verbose -h --help --version' -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W 'postgres:// postgresql:// migrations+postgres:// migrations+postgresql:// nats:// tls:// http:// https:// http+unix:// redis:// rediss:// valkey:// valkeys:// mysql:// mariadb:// migrations+mysql:// migrations+mariadb:// grpc:// grpcs:// amqp:// amqps:// memcached:// tcp:// unix: dns: file: exec:' -- "$cur")
        compopt -o nospace
    fi
}

complete -F _afterall afterall
