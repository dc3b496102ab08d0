package main

const (
	eventfd2      = 290
	timerfdCreate = 283
)
