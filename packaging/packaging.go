// Package packaging holds what the .deb and .rpm install besides the programs.
// nfpm.yaml says where each file goes; scripts/release makes the packages.
package packaging

import _ "embed"

// FirstConfig is the gateway.yaml of a fresh install. It has no users.
//
//go:embed gateway.yaml
var FirstConfig []byte
