// Package change changes who may enter what while people are connected: nobody
// is disturbed but those who lost something, and these at once. make soak does it
// a thousand times.
package change
