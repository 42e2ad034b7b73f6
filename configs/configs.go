// Package configs holds the examples that Berth ships, so that a test can hold
// them to what the programs read today.
package configs

import _ "embed"

// Gateway is an example of gateway.yaml with every key in it.
//
//go:embed gateway.yaml
var Gateway []byte
