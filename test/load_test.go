package test

import (
	"os"
	"testing"
)

// envSoak is set by make soak: then all is tried that is worth trying.
const envSoak = "BERTH_SOAK"

func soaking() bool { return os.Getenv(envSoak) != "" }

// load is how much is asked for.
func load(usually, soaked int) int {
	if soaking() {
		return soaked
	}
	return usually
}

// TestLoads holds every door of this machine to its promise when much is asked
// of it.
func TestLoads(t *testing.T) {
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	loads(t, startMachine(t).doors())
}

func loads(t *testing.T, doors []target) {
	need(t, "ssh-agent", "ssh-add")
	for _, to := range doors {
		t.Run(to.name+"/slow_readers", to.slowReaders)
		t.Run(to.name+"/sixty_sessions_on_one_connection", to.sixtySessions)
		t.Run(to.name+"/eight_users_of_the_agent", to.agentUsers)
		t.Run(to.name+"/eight_gigabytes_by_one_scp", to.hugeCopy)
	}
}

// slowReaders wants all bytes and the exit code, however the reader dawdles.
func (to target) slowReaders(t *testing.T) {
	for range load(1, 13) { // of 16
		to.want(t, `
			want=$(head -c 10M /dev/zero | sha256sum)
			once() {
				{ ssh h 'head -c 10M /dev/zero; exit 7'; echo $? >code.$1; } |
					{ sleep 0.$((RANDOM % 5)); head -c $((RANDOM * 100)); sleep 0.$((RANDOM % 5)); cat; } | sha256sum >sum.$1
			}
			for i in $(seq 16); do once $i & [ $((i % 8)) != 0 ] || wait; done
			for i in $(seq 16); do [ "$(cat code.$i) $(cat sum.$i)" = "7 $want" ] || echo "$(cat code.$i) $(cat sum.$i)"; done`, "")
	}
}

// sixtySessions run at once: each ends only when all of them have begun, or in
// a minute.
func (to target) sixtySessions(t *testing.T) {
	to.want(t, master+`
		far=$(ssh -S ctl h mktemp -d)
		for i in $(seq 60); do
			ssh -S ctl h "touch $far/$i; for _ in {1..300}; do [ \$(ls $far | wc -l) = 60 ] && break; sleep 0.2; done; seq 1000; exit $i" >out.$i & pids[i]=$!
		done
		for i in $(seq 60); do wait ${pids[i]}; echo "$? $(cmp out.$i <(seq 1000) && echo whole)"; done >ends
		cmp ends <(seq -f '%g whole' 60) && echo right
		ssh -S ctl h rm -r $far`,
		"right\n")
}

// agentUsers ask the client's agent at once and again and again, on one
// connection and each on its own.
func (to target) agentUsers(t *testing.T) {
	to.want(t, withAgent+`
		ssh-keygen -q -t ed25519 -N '' -f key && ssh-add -q key
		ssh -A -M -S ctl -fN h && trap 'kill $SSH_AGENT_PID; ssh -S ctl -O exit h 2>/dev/null' EXIT
		asks='for i in 1 2 3 4 5 6 7 8; do ssh-add -l; done'
		for i in $(seq 8); do ssh -A -S ctl h "$asks" & ssh -A -S none h "$asks" & done |
			cmp - <(for i in $(seq 128); do ssh-add -l; done) && echo same`,
		"same\n")
}

// hugeCopy is for make soak.
func (to target) hugeCopy(t *testing.T) {
	if !soaking() {
		t.Skip("only in make soak, which sets " + envSoak)
	}
	to.want(t, `
		make_far
		truncate -s 8G up && scp -q up h:$far/up && ssh h "stat -c %s $far/up && cmp -n 8G $far/up /dev/zero && echo same"`,
		"8589934592\nsame\n")
}
