# JSch, which knows no ed25519 and reads keys in PEM alone.
if [ -n "${KEY-}" ]; then
    cp "$KEY" key && ssh-keygen -q -p -N '' -m PEM -f key >/dev/null
    export KEY=key
fi
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp /usr/share/java/jsch.jar "${0%/*}/Jsch.java" "$1"
