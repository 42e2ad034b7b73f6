package auth

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Destination is an address that forwards may use.
type Destination struct {
	Host string // a name or an address, compared with what the client says and never looked up; "*": any
	Port uint32 // 0: any
}

var errDestination = errors.New("not a destination; write host:port, such as localhost:8888, with * for any host or port")

// ParseDestination reads host:port, with * for any host or any port, and an IPv6
// address in brackets.
func ParseDestination(s string) (Destination, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || len(host) > 255 || strings.ContainsAny(host, " \t/@") || strings.Contains(host, "*") && host != "*" {
		return Destination{}, errDestination
	}
	if port == "*" {
		return Destination{Host: host}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Destination{}, errDestination
	}
	return Destination{Host: host, Port: uint32(number)}, nil
}

// String is the destination in the form that [ParseDestination] reads.
func (d Destination) String() string {
	port := "*"
	if d.Port != 0 {
		port = strconv.Itoa(int(d.Port))
	}
	return net.JoinHostPort(d.Host, port)
}

// and is what two destinations have in common.
func (d Destination) and(other Destination) (Destination, bool) {
	switch {
	case d.Host == "*":
		d.Host = other.Host
	case other.Host != "*" && !strings.EqualFold(d.Host, other.Host):
		return Destination{}, false
	}
	switch {
	case d.Port == 0:
		d.Port = other.Port
	case other.Port != 0 && d.Port != other.Port:
		return Destination{}, false
	}
	return d, true
}

func anyMatches(list []Destination, host string, port uint32) bool {
	return slices.ContainsFunc(list, func(d Destination) bool {
		return (d.Host == "*" || strings.EqualFold(d.Host, host)) && (d.Port == 0 || d.Port == port)
	})
}
