# Generated: UPDATE=1 cargo test generated

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
complete -c afterall -n 'not __afterall_behind' -s t -l timeout -x -d 'how long a dependency may take; 0 = one attempt; never'
complete -c afterall -n 'not __afterall_behind' -l attempt-timeout -x -d 'bound on one attempt: resolve, connect, TLS, protocol, all of it'
complete -c afterall -n 'not __afterall_behind' -l interval -x -d 'shortest pause between attempts'
complete -c afterall -n 'not __afterall_behind' -l max-interval -x -d 'longest pause between attempts'
complete -c afterall -n 'not __afterall_behind' -l backoff -x -a 'adaptive linear exponential constant' -d 'how pauses grow: adaptive, linear, exponential, constant'
complete -c afterall -n 'not __afterall_behind' -l jitter -x -d 'random part by which a pause is shortened'
complete -c afterall -n 'not __afterall_behind' -l successes -x -d 'consecutive successes wanted, max-interval apart'
complete -c afterall -n 'not __afterall_behind' -l on-timeout -x -a 'fail proceed' -d 'fail, or proceed: one warning, then go on (after a timeout only)'
complete -c afterall -n 'not __afterall_behind' -l fail-fast -x -a '(__afterall_list dns connect timeout tls auth busy absent failed protocol config)' -d 'failure classes that end the wait at once'
complete -c afterall -n 'not __afterall_behind' -l until -x -a 'ready down' -d 'ready, or down: refused, unreachable, no such name or file'
complete -c afterall -n 'not __afterall_behind' -l deadline -x -d 'a timeout of everything that still waits'
complete -c afterall -n 'not __afterall_behind' -l once -d 'one attempt each, now, and a table on stdout; exit 0 or 69'
complete -c afterall -n 'not __afterall_behind' -s c -l config -r -F -d 'a TOML file with options and [dependency.NAME] tables'
complete -c afterall -n 'not __afterall_behind' -l from-env -d 'wait for what DATABASE_URL, NATS_URL and other well-known variables name'
complete -c afterall -n 'not __afterall_behind' -l print-plan -d 'print what would be waited for, and how, on stdout; exit 0 or 64'
complete -c afterall -n 'not __afterall_behind' -l allow-empty -d 'go on where nothing is declared to wait for'
complete -c afterall -n 'not __afterall_behind' -l format -x -a 'auto live plain json' -d 'how the wait is shown: auto, live, plain, json'
complete -c afterall -n 'not __afterall_behind' -s q -l quiet -d 'report only what fails'
complete -c afterall -n 'not __afterall_behind' -s v -l verbose -d 'report every attempt'
complete -c afterall -n 'not __afterall_behind' -s h -d 'print the help of 30 lines; only where it stands alone'
complete -c afterall -n 'not __afterall_behind' -l help -d 'print the whole help'
complete -c afterall -n 'not __afterall_behind' -s V -l version -d 'print the version'
complete -c afterall -n 'not __afterall_behind' -a 'postgres://' -d 'logged in and ready for a query'
complete -c afterall -n 'not __afterall_behind' -a 'postgresql://' -d 'logged in and ready for a query'
complete -c afterall -n 'not __afterall_behind' -a 'migrations+postgres://' -d 'every wanted migration is recorded as applied'
complete -c afterall -n 'not __afterall_behind' -a 'migrations+postgresql://' -d 'every wanted migration is recorded as applied'
complete -c afterall -n 'not __afterall_behind' -a 'nats://' -d 'INFO, TLS if asked, CONNECT, PONG'
complete -c afterall -n 'not __afterall_behind' -a 'tls://' -d 'INFO, TLS if asked, CONNECT, PONG'
complete -c afterall -n 'not __afterall_behind' -a 'http://' -d 'a response with an expected status and body'
complete -c afterall -n 'not __afterall_behind' -a 'https://' -d 'a response with an expected status and body'
complete -c afterall -n 'not __afterall_behind' -a 'http+unix://' -d 'a response with an expected status and body'
complete -c afterall -n 'not __afterall_behind' -a 'redis://' -d 'PONG, not loading, a replica linked, a cluster that covers its slots'
complete -c afterall -n 'not __afterall_behind' -a 'rediss://' -d 'PONG, not loading, a replica linked, a cluster that covers its slots'
complete -c afterall -n 'not __afterall_behind' -a 'valkey://' -d 'PONG, not loading, a replica linked, a cluster that covers its slots'
complete -c afterall -n 'not __afterall_behind' -a 'valkeys://' -d 'PONG, not loading, a replica linked, a cluster that covers its slots'
complete -c afterall -n 'not __afterall_behind' -a 'mysql://' -d 'logged in and serving (a Galera node in its primary component)'
complete -c afterall -n 'not __afterall_behind' -a 'mariadb://' -d 'logged in and serving (a Galera node in its primary component)'
complete -c afterall -n 'not __afterall_behind' -a 'migrations+mysql://' -d 'every wanted migration is recorded as applied'
complete -c afterall -n 'not __afterall_behind' -a 'migrations+mariadb://' -d 'every wanted migration is recorded as applied'
complete -c afterall -n 'not __afterall_behind' -a 'grpc://' -d 'grpc.health.v1 says SERVING'
complete -c afterall -n 'not __afterall_behind' -a 'grpcs://' -d 'grpc.health.v1 says SERVING'
complete -c afterall -n 'not __afterall_behind' -a 'amqp://' -d 'logged in, the vhost opened, the queue or exchange there'
complete -c afterall -n 'not __afterall_behind' -a 'amqps://' -d 'logged in, the vhost opened, the queue or exchange there'
complete -c afterall -n 'not __afterall_behind' -a 'kafka://' -d 'brokers that this host reaches, a leader for every partition of the topics'
complete -c afterall -n 'not __afterall_behind' -a 'kafkas://' -d 'brokers that this host reaches, a leader for every partition of the topics'
complete -c afterall -n 'not __afterall_behind' -a 'kafka+ssl://' -d 'brokers that this host reaches, a leader for every partition of the topics'
complete -c afterall -n 'not __afterall_behind' -a 'mongodb://' -d 'a primary, or the part that readPreference names; logged in'
complete -c afterall -n 'not __afterall_behind' -a 'mongodb+srv://' -d 'a primary, or the part that readPreference names; logged in'
complete -c afterall -n 'not __afterall_behind' -a 'memcached://' -d 'the server tells its version'
complete -c afterall -n 'not __afterall_behind' -a 'k8s:' -d 'the Job is complete, the pods are ready, the Deployment is available, the Service has a ready endpoint'
complete -c afterall -n 'not __afterall_behind' -a 'tcp://' -d 'a connection is accepted'
complete -c afterall -n 'not __afterall_behind' -a 'unix:' -d 'a connection is accepted'
complete -c afterall -n 'not __afterall_behind' -a 'dns:' -d 'the name resolves'
complete -c afterall -n 'not __afterall_behind' -a 'file:' -d 'the path exists'
complete -c afterall -n 'not __afterall_behind' -a 'exec:' -d 'the command exits 0 (stdin is /dev/null, stdout is thrown away)'
complete -c afterall -n 'not __afterall_behind' -a 'any:' -d 'one of the dependencies with these names is ready; the others are then not waited for'
complete -c afterall -n '__afterall_is "^[^-:/#=][^:/#=]*=[^:/#=]*\$"' -a '(__afterall_words = postgres:// postgresql:// migrations+postgres:// migrations+postgresql:// nats:// tls:// http:// https:// http+unix:// redis:// rediss:// valkey:// valkeys:// mysql:// mariadb:// migrations+mysql:// migrations+mariadb:// grpc:// grpcs:// amqp:// amqps:// kafka:// kafkas:// kafka+ssl:// mongodb:// mongodb+srv:// memcached:// k8s: tcp:// unix: dns: file: exec: any:)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(file|unix):[^#]*\$"' -a '(set -l kind (string match -r "^[^:]+:" -- (commandline -ct)); and printf "%s\n" $kind(__fish_complete_path (string replace -r "^[^:]+:" "" -- (commandline -ct))))'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(postgres|postgresql):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= query= user= password= passfile= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(migrations[+]postgres|migrations[+]postgresql):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= tool= dir= version= table= apps= column= where= order= key-pattern= user= password= passfile= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(nats|tls):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= user= password= token= nkey= creds= jetstream stream= domain= inbox-prefix= tls-first ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(http|https|http[+]unix):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= status= method= header= match= json= redirects= proxy= http-version= user= password= bearer= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(redis|rediss|valkey|valkeys):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= role= exists= sentinel= user= password= sentinel-user= sentinel-password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(mysql|mariadb):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= query= writable user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(migrations[+]mysql|migrations[+]mariadb):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= tool= dir= version= table= apps= column= where= order= key-pattern= user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(grpc|grpcs):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= service= header= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(amqp|amqps):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= queue= exchange= vhost= user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(kafka|kafkas|kafka[+]ssl):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= topic= partitions= brokers= sasl= advertised= user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(mongodb|mongodb[+]srv):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= role= replica-set= user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(memcached):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= user= password= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(k8s):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= namespace= server= bearer= token-file= ca= cert= key= server-name= insecure)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(tcp):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= hold=)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(unix):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(dns):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= type= expect=)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(file):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after= match=)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(exec):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=)'
complete -c afterall -n '__afterall_is "^([^:/#=]+=)?(any):.*#(.*,)?[^=,]*\$"' -a '(__afterall_words "#," timeout= attempt-timeout= interval= max-interval= backoff= jitter= successes= on-timeout= fail-fast= until= after=)'
complete -c afterall -n '__afterall_is "#(.*,)?backoff=[^,]*\$"' -a '(__afterall_words =+ adaptive linear exponential constant)'
complete -c afterall -n '__afterall_is "#(.*,)?on-timeout=[^,]*\$"' -a '(__afterall_words =+ fail proceed)'
complete -c afterall -n '__afterall_is "#(.*,)?fail-fast=[^,]*\$"' -a '(__afterall_words =+ dns connect timeout tls auth busy absent failed protocol config)'
complete -c afterall -n '__afterall_is "#(.*,)?until=[^,]*\$"' -a '(__afterall_words =+ ready down)'
complete -c afterall -n '__afterall_is "#(.*,)?after=[^,]*\$"' -a '(__afterall_words =+ (__afterall_names))'
