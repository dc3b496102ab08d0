module example.com/limited

go 1.21
