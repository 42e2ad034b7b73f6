// Package install installs the packages on an empty system and follows the
// README from there; and runs what is built for arm64.
package install
