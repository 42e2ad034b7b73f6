package forwards

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

const cookie = "00112233445566778899aabbccddeeff"

// x11 has a program of the target show itself on a display here.
func x11(t *testing.T, to harness.Target) {
	harness.Need(t, "xauth", "python3")
	display := startDisplay(t)
	authority := filepath.Join(t.TempDir(), "Xauthority")
	harness.Must(t, exec.Command("xauth", "-q", "-f", authority, "add", display, "MIT-MAGIC-COOKIE-1", cookie))
	to.Script(t, "testdata/x11.txtar", "PROGRAM="+harness.Read(t, "testdata/xclient.py"), "DISPLAY="+display, "XAUTHORITY="+authority)
}

// startDisplay starts an X server that knows one cookie, and no more of X than
// how a connection begins.
func startDisplay(t *testing.T) (name string) {
	t.Helper()
	listener, err := net.Listen("tcp", harness.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go show(conn)
		}
	}()
	return fmt.Sprintf("127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port-6000)
}

func show(conn net.Conn) {
	defer conn.Close()
	var setup struct {
		Order              [2]byte
		Major, Minor       uint16
		NameSize, DataSize uint16
		_                  [2]byte
		Name               [20]byte
		Data               [16]byte
	}
	if binary.Read(conn, binary.LittleEndian, &setup) != nil {
		return
	}
	if known, _ := hex.DecodeString(cookie); bytes.Equal(setup.Data[:], known) {
		io.WriteString(conn, "shown\n")
	} else {
		fmt.Fprintf(conn, "cookie %x\n", setup.Data)
	}
}
