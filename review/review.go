// Package review tells what changes between two states of golden/, for whom, and how dangerous it is: the page
// that a reviewer reads instead of a diff of YAML.
//
// Objects are compared by what they mean to an API server: lists by their merge keys, quantities and defaults by
// value, and nothing by its order where order means nothing. What many tenants share is told once.
package review
