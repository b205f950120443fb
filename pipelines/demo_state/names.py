"""Names that the synthetic state draws from, and the ways names get written wrongly.

What belongs here: word lists made for this project and pure functions on single names. What does not: who gets which
name (people.py). No list is taken from a register of real people; all characters fit ISO-8859-1, because some
agencies' files are in that encoding. An underscore stands for a space inside a name.
"""

from __future__ import annotations

import unicodedata

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.replace("_", " ") for word in text.split()))


FEMALE = _words("""
Abigail Ada Adelina Aisha Alejandra Alexandra Alice Alicia Alma Amara Amelia Amina Amy Ana Andrea Angela Anika Anna
Annika Antonia April Aria Astrid Aurora Autumn Ava Beatriz Bella Bianca Brianna Bridget Brooke Camila Carla Carmen
Caroline Cecilia Celeste Charlotte Chloe Claire Clara Claudia Cora Daisy Dalia Daniela Deborah Delia Diana Edith Elena
Eleanor Elisa Elizabeth Ella Emily Emma Esperanza Esther Eva Evelyn Farah Fatima Faith Fernanda Fiona Freya Gabriela
Genevieve Gloria Grace Greta Hailey Hana Hannah Harper Hazel Helen Holly Imani Ines Ingrid Irene Iris Isabel Isla
Ivy Jada Jasmine Jennifer Jimena Joanna Josephine Julia Juniper Karen Katherine Kayla Keisha Kiara Lan Lara Latoya
Laura Layla Leah Leila Lena Lilian Linda Lucia Lucy Luz Mai Maria Marisol Margaret Maya Mei Melissa Mia Miriam Molly
Nadia Naomi Natalie Nia Nina Nora Olivia Paige Paloma Parisa Patricia Penelope Phoebe Priya Rachel Rebecca Renata
Rosa Ruby Ruth Sadie Samantha Samira Sara Savannah Selena Serena Shanice Sienna Sofia Stella Susan Talia Tamara Tatiana
Teresa Thuy Valeria Vanessa Vera Victoria Violet Willow Ximena Yara Yasmin Yolanda Zainab Zoe Anne_Marie Mary_Ann
Inés Sofía Zoë Renée Mónica Ángela Lucía Chloé
""")
MALE = _words("""
Aaron Abdul Abraham Adam Adrian Ahmed Aidan Alan Albert Alejandro Alexander Ali Alonso Amir Andre Andrew Angel Anthony
Antonio Arjun Arthur Asher Austin Benjamin Bernard Blake Brandon Brian Bruno Caleb Calvin Cameron Carlos Carter Cedric
Charles Christopher Clarence Cole Connor Cruz Damian Daniel Dante Darius David Declan Deshawn Diego Dominic Dylan
Edgar Eduardo Edward Eli Elias Elijah Emilio Emmanuel Enrique Eric Esteban Ethan Evan Ezra Felix Fernando Finn
Francis Frank Gabriel Gavin George Gerardo Gideon Grant Gregory Gustavo Hassan Hector Henry Hugo Hunter Ian Ibrahim
Isaac Isaiah Ivan Jack Jacob Jaden Jamal James Jason Javier Jeremiah Jerome Jesse Joaquin Joel John Jonah Jonathan
Jordan Jorge Joseph Joshua Juan Julian Justin Kai Karim Kenji Kevin Khalil Kyle Lamar Leo Leonardo Levi Liam Logan
Lucas Luis Luke Malik Manuel Marco Marcus Mark Martin Mateo Matthew Maurice Max Michael Miguel Miles Minh Mohammed
Nathan Nicholas Noah Noel Nolan Oliver Omar Oscar Owen Pablo Patrick Paul Peter Philip Quentin Rafael Raj Ramon Raymond
Reid Ricardo Robert Rodrigo Roman Ronald Rowan Ryan Salvador Samuel Santiago Sean Sebastian Sergio Simon Soren Stephen
Tariq Theodore Thomas Timothy Tobias Trevor Tyrone Victor Vincent Walter Warren Wesley William Wyatt Xavier Yusuf
Zachary Zane Jean_Paul John_Henry José Andrés Jesús René Björn Raúl
""")
SURNAMES = _words("""
Abbott Abdi Acevedo Acosta Adams Adler Aguilar Ahmadi Alcott Alder Alexander Ali Allard Alvarado Alvarez Anders
Anderson Andrade Aoki Archer Arellano Armstrong Arnett Ashby Atwood Avila Ayala Bailey Baker Baldwin Ballard Banerjee
Banks Barajas Barker Barlow Barnes Barrett Barron Bauer Beaumont Becker Begay Bell Beltran Benally Benitez Bennett
Benson Bergstrom Bishop Black Blackwood Blair Blanco Bolton Booker Bowen Boyd Bradford Bradley Bravo Brennan Brewer
Briggs Brooks Brown Bryant Bui Burke Burnett Burns Bustos Butler Byrd Caballero Cabrera Calderon Caldwell Callahan
Camacho Campbell Campos Cano Cantrell Cardenas Carlson Carpenter Carrillo Carson Carter Castaneda Castillo Castro
Cervantes Chambers Chan Chandler Chang Chavez Chen Choi Church Cisneros Clark Clayton Cline Coleman Collins Colon
Conrad Contreras Conway Cook Cooper Cordova Coronado Cortez Craig Crane Crawford Cross Cruz Cummings Curtis Dalton
Daniels Davenport Davidson Davis Dawson Deleon Delgado Diaz Dixon Dominguez Donovan Dougherty Drake Duarte Dubois
Duncan Dunn Duong Duran Eaton Edwards Elliott Ellison Emerson Engel Erickson Escobar Espinoza Estrada Evans Everett
Farah Farmer Farrell Ferguson Fernandez Ferrer Fields Figueroa Finch Fischer Fisher Fitzgerald Fleming Flores Forbes
Foster Fowler Fox Francis Franco Franklin Fraser Freeman French Frost Fuentes Fuller Galvan Gamble Garcia Gardner
Garner Garrett Garza Gentry Ghosh Gibbs Gibson Gilbert Gill Glover Goldberg Gomez Gonzales Gonzalez Goodman Gordon
Graham Grant Graves Gray Green Greer Griffin Griffith Guerrero Guevara Gupta Gutierrez Guzman Haddad Hagen Hale Hall
Hammond Hampton Hansen Hardin Harding Harper Harrington Harris Hassan Hawkins Hayes Heath Hendrix Henry Hernandez
Herrera Hicks Higgins Hoang Hobbs Hodge Hoffman Holland Holloway Holmes Holt Hopkins Horton Houston Howard Hsu Huang
Hubbard Hudson Huerta Huff Hughes Hunt Hurley Hussein Ibarra Ingram Iyer Jackson Jacobs Jain James Jaramillo Jefferson
Jenkins Jensen Jimenez Johnson Joseph Juarez Kaplan Kapoor Kaur Keller Kelly Kemp Kennedy Khan Kim King Kirby Klein
Knight Knox Koch Kowalski Kramer Lam Lambert Lang Larsen Lawson Le Lee Leon Levine Lewis Li Lindgren Lindsey Liu Logan
Long Lopez Lowe Lozano Lucas Lucero Luna Lynch Mack Macias Maddox Madison Mahmoud Maldonado Manning Marin Marquez
Marsh Marshall Martinez Mason Massey Maxwell McBride McCarthy McCoy McDaniel McGee McKenna McLean McNeil Medina Mejia
Melendez Mendoza Mercado Meyer Meza Miles Miller Mills Miranda Mitchell Mohamed Molina Monroe Montoya Moody Moon Moore
Morales Moreno Morgan Morris Morrow Moss Mueller Munoz Murillo Murphy Myers Nakamura Nash Navarro Nelson Nguyen
Nichols Nixon Noble Nolan Norris Novak Nunez Obrien Ochoa Okafor Oliver Olsen Ortega Ortiz Osborne Owens Owusu Padilla
Page Palmer Park Parker Parrish Patel Patton Paz Pearson Pena Perez Perry Peters Pham Phillips Pineda Ponce Porter
Powell Preston Price Quinn Quintero Ramirez Ramos Randall Rao Redmond Reed Reese Reilly Reyes Rhodes Rice Richards
Rios Rivera Robbins Roberts Rocha Rodriguez Rojas Romero Rosales Rosen Rowe Roy Rubio Ruiz Russo Saenz Salas Salazar
Salinas Sanders Sandoval Santana Santos Sato Saunders Schmidt Schneider Schroeder Schwartz Serrano Shah Sharma Shaw
Shelton Shepherd Sherman Silva Singh Skinner Sloan Smith Solis Soto Spears Stafford Stark Steele Stein Stokes Stone
Strickland Suarez Sullivan Summers Sutton Svensson Swanson Tanaka Tang Tate Taylor Temple Terrell Thomas Thompson
Thornton Torres Tovar Townsend Tran Trujillo Tsosie Tucker Turner Tyler Underwood Valdez Valencia Vance Vargas Vasquez
Vaughn Vega Velasco Villa Vu Wagner Walker Wallace Walsh Walters Wang Ward Warner Washington Watson Weaver Webb Weber
Wells West Wheeler Whitaker White Wilcox Wiley Wilkins Williams Wilson Winters Wong Wood Wright Wu Yamamoto Yang Yates
York Young Yu Zamora Zapata Zhang Zimmerman Zuniga Yellowhorse Whitecloud Kealoha Kahale
O'Brien O'Connor O'Neill D'Angelo St._James De_La_Cruz De_Leon Del_Rio De_La_Torre Van_Dyke Van_der_Berg Von_Braun
Mac_Donald La_Rue Al_Hakim Ben_Ami Muñoz Peña Núñez Ibáñez García Martín Jiménez Müller Söderberg Lévesque Björk
""")
SUFFIXES = ("Jr", "II", "III")

NICKNAMES = dict(
    pair.split(":")
    for pair in [
        "Abigail:Abby",
        "Alexandra:Alex",
        "Alexander:Alex",
        "Alejandra:Ale",
        "Alejandro:Alex",
        "Andrew:Andy",
        "Anthony:Tony",
        "Antonio:Tony",
        "Benjamin:Ben",
        "Caroline:Carrie",
        "Charles:Charlie",
        "Charlotte:Charlie",
        "Christopher:Chris",
        "Daniel:Danny",
        "Daniela:Dani",
        "Deborah:Debbie",
        "Eduardo:Eddie",
        "Edward:Ed",
        "Elizabeth:Liz",
        "Eleanor:Ellie",
        "Fernando:Nando",
        "Francisco:Paco",
        "Frank:Frankie",
        "Gabriel:Gabe",
        "Gabriela:Gaby",
        "Gerardo:Jerry",
        "Gregory:Greg",
        "Henry:Hank",
        "Isabel:Izzy",
        "Jacob:Jake",
        "James:Jim",
        "Jennifer:Jenny",
        "Jeremiah:Jerry",
        "Jonathan:Jon",
        "John:Jack",
        "Joseph:Joe",
        "Joshua:Josh",
        "Josephine:Josie",
        "Katherine:Kate",
        "Leonardo:Leo",
        "Lucas:Luke",
        "Margaret:Maggie",
        "Matthew:Matt",
        "Melissa:Missy",
        "Michael:Mike",
        "Miguel:Mike",
        "Nathan:Nate",
        "Natalie:Nat",
        "Nicholas:Nick",
        "Oliver:Ollie",
        "Patricia:Patty",
        "Patrick:Pat",
        "Penelope:Penny",
        "Peter:Pete",
        "Philip:Phil",
        "Rafael:Rafa",
        "Raymond:Ray",
        "Rebecca:Becky",
        "Ricardo:Rick",
        "Robert:Bob",
        "Ronald:Ron",
        "Samantha:Sam",
        "Samuel:Sam",
        "Santiago:Santi",
        "Sebastian:Seb",
        "Stephen:Steve",
        "Susan:Sue",
        "Teresa:Terry",
        "Theodore:Theo",
        "Thomas:Tom",
        "Timothy:Tim",
        "Tobias:Toby",
        "Valeria:Val",
        "Vanessa:Nessa",
        "Victor:Vic",
        "Victoria:Vicky",
        "Vincent:Vince",
        "Walter:Walt",
        "William:Bill",
        "Zachary:Zach",
    ]
)


def plain(name: str) -> str:
    """The name in capitals without accents: what a mainframe file holds."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()


def typo(name: str, rng: np.random.Generator) -> str:
    """The name with one slip of a clerk: a letter dropped, doubled, replaced, or two swapped. Never empty."""
    if len(name) < 3:
        return name + name[-1]
    at = int(rng.integers(1, len(name) - 1))
    kind = int(rng.integers(4))
    if kind == 0:
        return name[:at] + name[at + 1 :]
    if kind == 1:
        return name[:at] + name[at] + name[at:]
    if kind == 2:
        return name[:at] + "abcdefghijklmnoprstuvwy"[int(rng.integers(23))] + name[at + 1 :]
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def rewrite_surname(name: str, rng: np.random.Generator) -> str:
    """A surname as another office writes it: parts of a double name joined or dropped, an apostrophe lost."""
    for mark in ("-", " ", "'"):
        if mark in name:
            first, last = name.split(mark, 1)
            if mark == "'":
                return first + last
            return (first + last, first + " " + last, last)[int(rng.integers(3))]
    return typo(name, rng)
