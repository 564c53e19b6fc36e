// Package review compares two states of golden/: what changes, for whom, and how dangerous it is.
package review
