module example.com/liveserver

go 1.24
