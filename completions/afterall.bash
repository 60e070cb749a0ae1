# Generated: UPDATE=1 cargo test generated
# shellcheck shell=bash

# Words joined by +, of which the last is completed.
_afterall_list() {
    local before=
    [[ $cur == *+* ]] && before=${cur%+*}+
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "${cur##*+}")
    compopt -o nospace
}

# The keys behind # and a comma, and their values. $1 is the whole dependency; $cur is its end.
_afterall_keys() {
    local scheme=${1%%:*} last=${1##*[#,]} words='' typed
    scheme=${scheme##*=}
    if [[ $last == *=* ]]; then
        typed=${last#*=}
        case ${last%%=*} in
        after) words=$(_afterall_names) ;;
        backoff) words='adaptive linear exponential constant' ;;
        on-timeout) words='fail proceed' ;;
        fail-fast) words='dns connect timeout tls auth busy absent failed protocol config' ;;
        until) words='ready down' ;;
        esac
        typed=${typed##*+}
    else
        typed=$last
        case $scheme in
        postgres | postgresql) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= query= user= password= passfile= ca= cert= key= server-name= insecure' ;;
        migrations+postgres | migrations+postgresql) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= tool= dir= version= table= apps= column= where= order= key-pattern= user= password= passfile= ca= cert= key= server-name= insecure' ;;
        nats | tls) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= user= password= token= nkey= creds= jetstream stream= domain= inbox-prefix= tls-first ca= cert= key= server-name= insecure' ;;
        http | https | http+unix) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= status= method= header= match= json= redirects= proxy= http-version= user= password= bearer= ca= cert= key= server-name= insecure' ;;
        redis | rediss | valkey | valkeys) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= role= exists= sentinel= user= password= sentinel-user= sentinel-password= ca= cert= key= server-name= insecure' ;;
        mysql | mariadb) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= query= writable user= password= ca= cert= key= server-name= insecure' ;;
        migrations+mysql | migrations+mariadb) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= tool= dir= version= table= apps= column= where= order= key-pattern= user= password= ca= cert= key= server-name= insecure' ;;
        grpc | grpcs) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= service= header= ca= cert= key= server-name= insecure' ;;
        amqp | amqps) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= queue= exchange= vhost= user= password= ca= cert= key= server-name= insecure' ;;
        kafka | kafkas | kafka+ssl) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= topic= partitions= brokers= sasl= advertised= user= password= ca= cert= key= server-name= insecure' ;;
        mongodb | mongodb+srv) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= role= replica-set= user= password= ca= cert= key= server-name= insecure' ;;
        memcached) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= user= password= ca= cert= key= server-name= insecure' ;;
        k8s) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= namespace= server= bearer= token-file= ca= cert= key= server-name= insecure' ;;
        tcp) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= hold=' ;;
        unix) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=' ;;
        dns) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= type= expect=' ;;
        file) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= match=' ;;
        exec) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=' ;;
        any) words='timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=' ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -P "${cur%"$typed"}" -W "$words" -- "$typed")
    compopt -o nospace
}

# The names of the dependencies before the cursor.
_afterall_names() {
    local word words
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    unset "words[-1]"
    for word in "${words[@]}"; do
        [[ $word != [!-]*=* || ${word%%=*} == *[:/#]* ]] || echo "${word%%=*}"
    done
}

_afterall() {
    local whole=${COMP_LINE:0:COMP_POINT}
    whole=${whole##*[[:space:]]}
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
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
        mapfile -t COMPREPLY < <(compgen -W 'postgres:// postgresql:// migrations+postgres:// migrations+postgresql:// nats:// tls:// http:// https:// http+unix:// redis:// rediss:// valkey:// valkeys:// mysql:// mariadb:// migrations+mysql:// migrations+mariadb:// grpc:// grpcs:// amqp:// amqps:// kafka:// kafkas:// kafka+ssl:// mongodb:// mongodb+srv:// memcached:// k8s: tcp:// unix: dns: file: exec: any:' -- "$cur")
        compopt -o nospace
    fi
}

complete -F _afterall afterall
