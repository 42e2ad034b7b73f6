package sshconn

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// connected returns both ends of a connection. It skips the test in a build without
// the edits of x/crypto.
func connected(t *testing.T) (client, server Conn) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	near, far := pair(t)
	shaken := make(chan error, 1)
	go func() {
		var err error
		client.Conn, client.Channels, client.Requests, err = ssh.NewClientConn(near, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		shaken <- err
	}()
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	conn, channels, requests, err := ssh.NewServerConn(far, config)
	if failed := <-shaken; failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	server = Conn{Conn: conn, Channels: channels, Requests: requests}
	if _, isEdited := server.edited(); !isEdited {
		t.Skip("x/crypto is not edited")
	}
	return client, server
}

// A channel that overtook the request before it would find nothing there.
func TestWhatAPeerSendsKeepsItsOrder(t *testing.T) {
	client, server := connected(t)
	const pairs = 500
	go func() {
		for i := range pairs {
			client.SendRequest(fmt.Sprint(2*i), false, nil)
			client.StartChannel(fmt.Sprint(2*i+1), nil)
		}
		client.Close()
	}()
	next := 0
	NewOrder(server).Serve(func(arrived Arrival) {
		name := ""
		if arrived.Request != nil {
			name = arrived.Request.Type
		} else {
			name = arrived.Channel.ChannelType()
		}
		if name != fmt.Sprint(next) {
			t.Errorf("%s comes where %d was due", name, next)
		}
		next++
	})
	if next != 2*pairs {
		t.Errorf("%d of %d came", next, 2*pairs)
	}
}

// The attack: a thousand channels, each opened with 256 KiB of data, which is kept as
// long as the channel.
func TestWhatIsTooLongIsRefused(t *testing.T) {
	client, server := connected(t)
	long := make([]byte, maxData+1)
	go func() {
		defer client.Close()
		if _, _, err := client.Conn.OpenChannel("long", long); err == nil {
			t.Error("a long channel open is accepted")
		}
		if ok, _, err := client.SendRequest("long", true, long); ok || err != nil {
			t.Errorf("a long request: %v, %v", ok, err)
		}
		if ok, _, err := client.SendRequest("short", true, long[1:]); !ok || err != nil {
			t.Errorf("a short request: %v, %v", ok, err)
		}
	}()
	NewOrder(server).Serve(func(arrived Arrival) {
		if arrived.Request == nil || arrived.Request.Type != "short" {
			t.Errorf("%+v comes", arrived)
			return
		}
		Reply(arrived.Request, true, nil)
	})
}

// A forward's answer comes before the first connection to it, and the answer to its
// cancel after the last one.
func TestAnAnswerIsCarriedOutInItsTurn(t *testing.T) {
	client, server := connected(t)
	tasks := &Tasks{Panicked: func(v any, _ []byte) { t.Errorf("panic: %v", v) }}
	go func() {
		for request := range client.Requests {
			client.StartChannel("before", nil)
			request.Reply(true, []byte("answer"))
			client.StartChannel("after", nil)
		}
	}()
	const questions = 200
	order := NewOrder(server)
	tasks.Go(func() {
		defer server.Close()
		for range questions {
			order.Ask("question", nil, func(ok bool, said []byte) {
				if !ok || string(said) != "answer" {
					t.Errorf("%v, %q", ok, said)
				}
			})
		}
	})
	var came []string
	order.Serve(func(arrived Arrival) {
		if arrived.Answer == nil {
			came = append(came, arrived.Channel.ChannelType())
			return
		}
		came = append(came, "answer")
		arrived.Answer()
	})
	want := slices.Repeat([]string{"before", "answer", "after"}, questions)
	if want = want[:len(want)-1]; len(came) < len(want) || !slices.Equal(came[:len(want)], want) {
		t.Errorf("%d of %d, %q", len(came), len(want), came[:min(len(came), 6)])
	}
	tasks.Wait()
}
