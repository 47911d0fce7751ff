// Package terminal is the chat in a terminal: a full screen for a person, lines for pipes.
//
// Its one idea: what others have written is never sent to the terminal as it is. Whatever
// is shown, in whichever place, goes through [Clean], which leaves no character that a terminal
// obeys or that hides or reorders others.
//
//	client.Client -- events --> Screen -- cells --> tcell --> the terminal
//	              -- events --> Lines  -- lines --> standard output
//
// A [Screen] is one goroutine's: keys, events and answers come to it through channels, and after each batch
// of them it draws everything; tcell sends the terminal what has changed.
package terminal
