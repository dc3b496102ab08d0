"""What the pages and the API show, as plain data: no HTML, no sockets; one module per page."""
