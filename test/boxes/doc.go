// Package boxes enters hosts on several boxes through one gateway.
package boxes
