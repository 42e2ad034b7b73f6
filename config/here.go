package config

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/berth-ssh/berth/state"
)

// CheckHere checks the configuration against this machine. The error is one that
// would stop serve. A warning may be harmless, such as a port that a running gateway
// has, or one that only root may use. It listens on the port for a moment, and
// creates no files.
func (c Config) CheckHere() (warnings []string, err error) {
	if err := state.Check(c.State); err != nil {
		return nil, err
	}
	if c.Keys != "" {
		if err := state.CheckKeys(c.Keys); err != nil {
			return nil, err
		}
	}
	if why := cannotListen(c.Listen); why != "" {
		warnings = append(warnings, fmt.Sprintf("cannot listen on %s: %s", c.Listen, why))
	}
	return warnings, nil
}

// cannotListen returns why it is impossible to listen on an address; "" if it is
// possible.
func cannotListen(address string) string {
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		listener.Close()
		return ""
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program does; this is right if it is the gateway, already running"
	case errors.Is(err, syscall.EACCES):
		return "not permitted; a port below 1024 needs root or CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have the address"
	}
	return err.Error()
}
