/* Keeps the support library buildable when it has no other file. */
typedef int empty_translation_unit;
