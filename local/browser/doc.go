// Package browser holds what package review writes against what reads it: its page against a real browser, its
// comment against a renderer of GitHub's Markdown. It is a module of its own, so that no other one needs either.
package browser
