# Prints all that a process can know of how it was started, a line each that
# begins with its name. SigQ is left out: it counts what all the machine does.
env | sort | sed 's/^/env /'
echo "umask $(umask)"; echo "pwd $(pwd)"; echo "id $(id)"; echo "shell $0 $-"
ulimit -S -a | sed 's/^/soft /'; ulimit -H -a | sed 's/^/hard /'
grep -E '^(Sig[^Q]|Cap|Groups|NoNewPrivs|Seccomp:)' /proc/self/status | sed 's/^/status /'
for file in oom_score_adj cgroup timerslack_ns; do sed "s/^/$file /" /proc/self/$file; done
for space in cgroup ipc mnt net pid user uts; do echo "namespace $space $(readlink /proc/self/ns/$space)"; done
echo "nice $(nice)"; echo "descriptors" $(ls /proc/self/fd)
set -- $(cat /proc/self/stat); echo "leads $([ "$6" = "$$" ] && echo session) $([ "$5" = "$$" ] && echo group)"
if tty >/dev/null; then
    stty -a | tr ';' '\n' | sed 's/^ */stty /'
    echo "tty $(stat -c '%U %G %a' "$(tty)") $([ "$(tty)" = "$SSH_TTY" ] && echo known)"
fi
