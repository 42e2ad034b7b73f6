package monitor

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
