# Read by every zsh, and by every bash that is interactive, logs in or runs a command
# for ssh: what a session has of its environment by the gateway's own way in, and an
# sshd without PAM leaves out. Only the first shell of a session looks, which sshd starts.

berth_environment() {
    local parent line name value lost=
    { read -r parent < "/proc/$PPID/comm"; } 2>/dev/null || return 0
    case $parent in
        sshd*) ;;
        *) return 0 ;;
    esac

    # /etc/environment, as Debian's pam_env reads it: NAME=value, perhaps after export,
    # up to a #; quotes around a value go. What is set counts for more.
    [ ! -r /etc/environment ] || while IFS= read -r line || [ -n "$line" ]; do
        line=${line#"${line%%[![:space:]]*}"}
        line=${line#export }
        line=${line%%\#*}
        line=${line%$'\r'}
        name=${line%%=*}
        case $name in
            "$line" | '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;;
        esac
        value=${line#*=}
        case $value in
            [\"\']*)
                value=${value#?}
                value=${value%[\"\']}
                ;;
        esac
        [ -z "$value" ] || eval "[ -n \"\${$name+x}\" ]" || export "$name=$value"
    done < /etc/environment

    # A locale of the client's that is not here would cost UTF-8: the C library takes
    # plain C for it.
    for name in LANG LC_ALL LC_ADDRESS LC_COLLATE LC_CTYPE LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES \
        LC_MONETARY LC_NAME LC_NUMERIC LC_PAPER LC_TELEPHONE LC_TIME; do
        eval "value=\${$name-}"
        case $value in
            '' | C | POSIX | C.UTF-8 | C.utf8) continue ;;
        esac
        if [ "$(LC_ALL=$value locale charmap 2>/dev/null)" = ANSI_X3.4-1968 ]; then
            unset "$name"
            lost=yes
        fi
    done
    [ -z "$lost" ] || [ -n "${LANG-}" ] || export LANG=C.UTF-8
}
berth_environment
unset -f berth_environment
