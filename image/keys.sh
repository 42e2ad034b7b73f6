# Read by every zsh, and by every bash that is interactive or runs a command for ssh.

# Where each person has an account, what one writes is for the group.
[ ! -e /etc/berth_accounts ] || umask 002

# The gateway knows people by the keys in its own configuration, and the sshd here
# knows none: what ssh-copy-id does would succeed and open nothing.
case ${ZSH_EXECUTION_STRING-}${BASH_EXECUTION_STRING-} in
    *cat*'>>'*.ssh/authorized_keys*)
        if [ -n "${SSH_CONNECTION-}" ]; then
            echo "berth: keys in ~/.ssh/authorized_keys open nothing here: they belong into the gateway's gateway.yaml, under keys of the user; ask the box's owner" >&2
            exit 1
        fi
        ;;
esac
