package main

const (
	eventfd2      = 19
	timerfdCreate = 85
)
