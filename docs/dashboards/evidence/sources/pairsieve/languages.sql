SELECT language, pairs, kept FROM languages
