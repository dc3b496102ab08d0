module example.com/restarted

go 1.21
