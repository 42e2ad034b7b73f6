package config

import (
	"os"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The attack: an account of the box owns the configuration, and adds itself to it.
func TestAttackByAConfigurationOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	t.Chdir(t.TempDir())
	harness.Write(t, "gateway.yaml", 0o600, "users: {dev: {keys: ["+publicKeyOf(t)+"]}}\n")
	if _, err := Load("gateway.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown("gateway.yaml", 1234, 1234); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("gateway.yaml"); err == nil || !strings.Contains(err.Error(), "gateway.yaml: it belongs to uid 1234") {
		t.Errorf("loaded: %v", err)
	}
}
