package machine

import (
	"errors"
	"io"

	"github.com/pkg/sftp"
)

// ServeSftp is the sftp subsystem on standard streams, for a machine that has
// no sftp-server of its own and for people who may only read.
func ServeSftp(in io.Reader, out io.WriteCloser, readOnly bool) error {
	var options []sftp.ServerOption
	if readOnly {
		options = append(options, sftp.ReadOnly())
	}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{in, out}, options...)
	if err != nil {
		return err
	}
	err = server.Serve()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
