package foreign

import (
	"testing"

	"berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
