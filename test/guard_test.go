package test

import (
	"strings"
	"testing"
)

// guards are what the gateway's doors hold that a bare sshd need not.
func guards(t *testing.T, doors []target) {
	for _, to := range doors {
		t.Run(to.name+"/known_hosts_stays_as_it_is", func(t *testing.T) {
			to.want(t, `
				known=$(ssh -G h | sed -n 's/^userknownhostsfile //p'); cp $known known
				ssh -o UserKnownHostsFile=$PWD/known -o UpdateHostKeys=yes h 'sleep 1' && cmp $known known && echo same`,
				"same\n")
		})
	}
}

// knowsTheUser wants every session of a host to be told whom it is for, and by
// the gateway alone.
func (to target) knowsTheUser(t *testing.T) {
	to.want(t, `
		ssh h 'echo $BERTH_USER'; ssh -o SetEnv=BERTH_USER=root h 'echo $BERTH_USER'
		ssh -tt h 'stty -onlcr; echo $BERTH_USER' </dev/null`,
		"dev\ndev\ndev\n")
}

// isolated wants the container's 127.0.0.1 to be its own, and the gateway's to
// be out of reach.
func (to target) isolated(t *testing.T) {
	need(t, "python3")
	port := startLocalEcho(t)
	wantEcho(t, "tcp", "127.0.0.1:"+port)
	got := to.run(t, `echo hi | ssh -W 127.0.0.1:$PORT h`, "PORT="+port)
	if got.exit != 255 || strings.Contains(got.stdout, "HI") {
		t.Errorf("the gateway's own 127.0.0.1 is reached: exit %d, %s", got.exit, brief(got.stdout))
	}
}
