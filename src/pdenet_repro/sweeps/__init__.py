"""Many runs: which are missing, how long they take, how they are started, what is made of them."""
