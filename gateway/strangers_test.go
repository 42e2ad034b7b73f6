package gateway

import (
	"net"
	"testing"
)

func address(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

// One source that opens connections and never logs in must not keep others out.
func TestOneSourceCannotTakeAllPlaces(t *testing.T) {
	var s strangers
	for i := range maxStrangersPerSource {
		if !s.admit(address("192.0.2.1")) {
			t.Fatalf("connection %d refused", i+1)
		}
	}
	if s.admit(address("192.0.2.1")) {
		t.Error("one too many of one source")
	}
	if !s.admit(address("192.0.2.2")) {
		t.Error("another source is kept out")
	}
	s.release(address("192.0.2.1"))
	if !s.admit(address("192.0.2.1")) {
		t.Error("a place that came free is not given again")
	}
}

func TestAllSourcesTogetherAreLimited(t *testing.T) {
	var s strangers
	for i := range maxStrangers {
		s.admit(&net.TCPAddr{IP: net.IPv4(10, 0, byte(i>>8), byte(i))})
	}
	if s.admit(address("192.0.2.1")) {
		t.Error("one too many in all")
	}
}

// A subscriber has a whole IPv6 network to come from.
func TestAnIPv6SourceIsItsNetwork(t *testing.T) {
	if sourceOf(address("2001:db8::1")) != sourceOf(address("2001:db8::2")) {
		t.Error("two addresses of a /64 are two sources")
	}
	if sourceOf(address("2001:db8::1")) == sourceOf(address("2001:db8:0:1::1")) {
		t.Error("two networks are one source")
	}
	if sourceOf(address("::ffff:192.0.2.1")) != sourceOf(address("192.0.2.1")) {
		t.Error("an IPv4 address written as IPv6 is another source")
	}
}
