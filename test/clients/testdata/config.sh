# Writes ./config, in which the target is host h to OpenSSH's clients and to
# all that use them.
cat >config <<END
Host h
    HostName $HOST
    Port $PORT
    User $LOGIN
    UserKnownHostsFile $KNOWN_HOSTS
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    LogLevel ERROR
END
if [ -n "${PASSWORD-}" ]; then
    printf '#!/bin/sh\necho "$PASSWORD"\n' >askpass
    chmod +x askpass
    export SSH_ASKPASS="$PWD/askpass" SSH_ASKPASS_REQUIRE=force
    echo "    PreferredAuthentications password" >>config
else
    printf '    IdentityFile %s\n    IdentitiesOnly yes\n' "$KEY" >>config
    if [ -n "${CODE-}" ]; then
        printf '#!/bin/sh\necho "$CODE"\n' >askpass
        chmod +x askpass
        export SSH_ASKPASS="$PWD/askpass" SSH_ASKPASS_REQUIRE=force
    fi
fi
